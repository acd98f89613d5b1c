import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IVersion } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import { Trigger } from "aws-cdk-lib/triggers";
import type { Construct } from "constructs";
import { type TaskState, taskStates } from "../core/machine.ts";
import { assertCapacity, functionSizes } from "./capacity.ts";
import { type LoaderContext, maxConnections } from "./context.ts";
import { type DatabaseAccess, existingDatabase } from "./database-network.ts";
import { Entrances } from "./entrances.ts";
import { LoadMachine } from "./load-machine.ts";
import { LoaderFunctions } from "./loader-functions.ts";
import { Monitoring } from "./monitoring.ts";
import { acknowledgePipeline } from "./nag-acknowledgements.ts";
import { Storage } from "./storage.ts";

type TableLoaderStackProps = StackProps & {
  readonly context: LoaderContext;
  /** The database of the database stack. @default - the existing one that the context names */
  readonly database?: DatabaseAccess;
};

/** Storage, functions, state machine, entrances and monitoring: everything but the database. */
export class TableLoaderStack extends Stack {
  constructor(scope: Construct, id: string, props: TableLoaderStackProps) {
    super(scope, id, props);
    const { context } = props;
    assertCapacity(maxConnections(context));
    const database = props.database ?? existingDatabase(this, context);
    const storage = new Storage(this, "Storage", context);
    const functions = new LoaderFunctions(this, "Functions", { context, storage, database });
    const topic = new Topic(this, "Notices", { masterKey: storage.key, enforceSSL: true, displayName: "Table Loader" });
    const machine = this.loadMachine(context, storage, functions, topic);
    const { operate, sweep, "start-load": startLoad } = functions.byHandler;
    const { stateMachineArn } = machine.stateMachine;
    const entrances = new Entrances(this, "Intake", { bucket: storage.bucket, startLoad, sweep, stateMachineArn });
    entrances.nameQueues(operate);
    this.migrateBefore(functions, [storage.contracts, machine, entrances, operate.live(), sweep.live()]);
    new Monitoring(this, "Monitoring", {
      topic,
      stateMachine: machine.stateMachine,
      arrivals: entrances.queue,
      deadLetterQueues: [entrances.deadLetters, entrances.undelivered],
    });
    acknowledgePipeline({ stack: this, storage, functions, machine, entrances });
    const outputs = {
      BucketName: storage.bucket.bucketName,
      StateMachineArn: machine.stateMachine.stateMachineArn,
      OperateFunction: operate.live().functionArn,
      MigrateFunction: functions.byHandler.migrate.function.functionArn,
      ArrivalsQueueUrl: entrances.queue.queueUrl,
      DeadLetterQueueUrl: entrances.deadLetters.queueUrl,
      NoticesTopicArn: topic.topicArn,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }

  private loadMachine(context: LoaderContext, storage: Storage, functions: LoaderFunctions, topic: Topic): LoadMachine {
    const prod = context.stage === "prod";
    const states = Object.keys(taskStates) as TaskState[];
    const versions = states.map((state) => [state, functions.ofState(state).version]);
    const machine = new LoadMachine(this, "LoadBatch", {
      handlers: Object.fromEntries(versions) as Record<TaskState, IVersion>,
      topic,
      logGroup: new LogGroup(this, "LoadBatchLogs", {
        retention: prod ? RetentionDays.ONE_YEAR : RetentionDays.THREE_MONTHS,
        removalPolicy: prod ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
        encryptionKey: storage.key,
      }),
      maxRetries: context.maxRetries,
    });
    const allow = (actions: string[], resources: string[]) =>
      machine.stateMachine.addToRolePolicy(new PolicyStatement({ actions, resources }));
    // All versions: an execution that runs during a deployment keeps those with which it began.
    allow(
      ["lambda:InvokeFunction"],
      states.map((state) => `${functions.ofState(state).function.functionArn}:*`),
    );
    allow(["kms:Decrypt", "kms:GenerateDataKey"], [storage.key.keyArn]);
    return machine;
  }

  /** Runs the migrations before new code is used. They only add, so the code of the version before goes on meanwhile. */
  private migrateBefore(functions: LoaderFunctions, users: Construct[]): void {
    new Trigger(this, "Migrations", {
      handler: functions.byHandler.migrate.function,
      timeout: Duration.seconds(functionSizes.migrate.timeoutSeconds),
      executeBefore: users,
    });
  }
}
