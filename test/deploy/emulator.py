"""Starts MiniStack with what docs/emulator.md says it lacks. It ends when our end of its standard input is closed."""

import os
import signal
import sys
import threading

from ministack.core import lambda_runtime
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners


def replace(text, old, new):
    """A patch that no longer fits has to be noticed, and not to be lost."""
    if old not in text:
        sys.exit(f"emulator: patch does not fit: {old!r} is not in this version of MiniStack")
    return text.replace(old, new)


def keep_error_names():
    """The nodejs runtime reports every error as Runtime.HandlerError; Lambda reports the error's own name."""
    lambda_runtime._NODEJS_WORKER_SCRIPT = replace(
        lambda_runtime._NODEJS_WORKER_SCRIPT,
        "error: String(err.message || err), trace:",
        "error: String(err.message || err), errorType: err.name || typeof err, trace:",
    )
    thrown = threading.local()
    invoke, execute = lambda_runtime.Worker.invoke, lambda_svc._execute_function_warm

    def noting(self, *args, **options):
        result = invoke(self, *args, **options)
        thrown.name = result.get("errorType")
        return result

    def naming(*args):
        thrown.name = None
        answer = execute(*args)
        if answer.get("error") and thrown.name:
            answer["body"]["errorType"] = thrown.name
        return answer

    lambda_runtime.Worker.invoke = noting
    lambda_svc._execute_function_warm = naming


def accept_metric_math():
    """An alarm on an expression is refused; here it is kept, without ever being evaluated."""
    record = provisioners._cw_metric_alarm_record

    def expression(name, props):
        if not props.get("Metrics"):
            return record(name, props)
        return record(name, {**props, "Metrics": None, "MetricName": "expression", "Namespace": "expression"})

    provisioners._cw_metric_alarm_record = expression


def reserve_concurrency():
    """CloudFormation passes over ReservedConcurrentExecutions, which caps the connections to the database."""
    functions = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = functions["create"], functions["update"]

    def reserve(name, properties):
        reserved = properties.get("ReservedConcurrentExecutions")
        lambda_svc._functions[name]["concurrency"] = None if reserved is None else int(reserved)

    def creating(logical_id, properties, stack):
        created = create(logical_id, properties, stack)
        reserve(created[0], properties)
        return created

    def updating(physical_id, before, after, *others, **named):
        updated = update(physical_id, before, after, *others, **named)
        reserve(updated[0], after)
        return updated

    functions["create"], functions["update"] = creating, updating


def name_master_secrets():
    """RDS keeps an instance's master login in a secret of its own; here there is none, and only its name is given."""
    attributes = provisioners._rds_db_instance_attrs

    def naming(instance):
        arn = instance.get("DBInstanceArn", "").replace(":rds:", ":secretsmanager:").replace(":db:", ":secret:rds!db-")
        return {**attributes(instance), "MasterUserSecret.SecretArn": arn}

    provisioners._rds_db_instance_attrs = naming


def follow():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    keep_error_names()
    accept_metric_math()
    name_master_secrets()
    reserve_concurrency()
    threading.Thread(target=follow, daemon=True).start()
    sys.argv = ["ministack"]
    from ministack.app import main

    main()
