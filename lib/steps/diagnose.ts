import type {
  BucketDoctor,
  DatabaseDoctor,
  Diagnosis,
  DoctorSettings,
  InspectedSettings,
  MachineDoctor,
} from "../core/doctor.ts";
import { doctorSeconds } from "../core/durations.ts";
import { loaderVersion } from "../core/plan.ts";
import type { TargetInspect } from "../core/target.ts";
import { bucketChecks, machineChecks } from "./doctor/aws-checks.ts";
import {
  type ContractPorts,
  contractChecks,
  contractFileChecks,
  openContractView,
  targetChecks,
} from "./doctor/contracts-and-targets.ts";
import { controlChecks, databaseChecks } from "./doctor/database-checks.ts";
import { loadChecks, settingsChecks, wrongVariable } from "./doctor/load-checks.ts";
import { type Runner, runChecks } from "./doctor/run-checks.ts";

/**
 * doctor: finds everything that is wrong with an environment at once. It asks and tries nothing, so that it leaves no
 * trace, and reports what it could not ask.
 */

export type DoctorPorts = ContractPorts & {
  readonly inspected: InspectedSettings;
  readonly database: DatabaseDoctor;
  readonly inspect: TargetInspect;
  readonly bucket: BucketDoctor;
  /** Null if the settings name none. */
  readonly machine: MachineDoctor | null;
  readonly within: Runner["within"];
  readonly now: () => number;
};

/** Time kept back for the end of the function, after the last check. */
const reserveSeconds = 10;

const databaseVariables = /^DB_|^AWS_REGION$/;
const bucketVariables = /^S3_|^LOCAL_ENDPOINT$|^AWS_REGION$/;
const machineVariables = /^STATE_MACHINE_ARN$|^LOCAL_MACHINE_ENDPOINT$|^AWS_REGION$/;

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function diagnose(ports: DoctorPorts, deadline: number): Promise<Diagnosis> {
  const { inspected, database, bucket, machine, now } = ports;
  const { settings } = inspected;
  const end = Math.min(deadline - reserveSeconds * 1000, now() + doctorSeconds * 1000);
  const runner: Runner = { within: ports.within, secondsLeft: () => (end - now()) / 1000 };
  const arn = settings.stateMachineArn;
  const machinePorts = machine && arn !== null ? { machine, arn, now } : null;
  // At the same time: each of them waits for another service.
  const [own, server, store, states] = await Promise.all([
    runChecks(runner, settingsChecks(inspected)),
    runChecks(runner, databaseChecks(database, settings), wrongVariable(inspected, databaseVariables)),
    runChecks(runner, bucketChecks({ bucket, settings, now }), wrongVariable(inspected, bucketVariables)),
    runChecks(runner, machineChecks(machinePorts), wrongVariable(inspected, machineVariables)),
  ]);
  // One after the other: a function has one connection.
  const view = openContractView(ports);
  const control = await runChecks(runner, controlChecks(database), server.stopped);
  const file = await runChecks(runner, contractFileChecks(view), store.stopped);
  const contracts = await runChecks(runner, contractChecks(view, ports), store.stopped ?? server.stopped);
  const targetPorts = { database, inspect: ports.inspect, settings };
  const targets = await runChecks(runner, targetChecks(view, targetPorts), server.stopped);
  const loads = await runChecks(runner, loadChecks(database), server.stopped);
  const ran = [own, server, control, file, contracts, targets, store, states, loads];
  return {
    checks: ran.flatMap(({ checks }) => checks),
    loader: describeLoader(settings),
    queues: [
      { role: "arrivals", url: settings.arrivalsQueueUrl },
      { role: "dead letters", url: settings.deadLetterQueueUrl },
      { role: "undelivered", url: settings.undeliveredQueueUrl },
    ],
  };
}

function describeLoader(settings: DoctorSettings): Diagnosis["loader"] {
  const { database, region, bucket, requireApproval, maxWorkers, maxLoads, functionVersion } = settings;
  const { host, port, name, user, auth, tls, schema } = database;
  return {
    loader_version: loaderVersion,
    function_version: functionVersion,
    region,
    bucket,
    database: `${host}:${port}/${name}`,
    database_user: user,
    database_auth: auth,
    database_tls: tls,
    schema,
    require_approval: requireApproval,
    max_workers: maxWorkers,
    max_loads: maxLoads,
  };
}
