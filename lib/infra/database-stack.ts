import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  InstanceType,
  type IVpc,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { Key } from "aws-cdk-lib/aws-kms";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  type IInstanceEngine,
  ParameterGroup,
  PostgresEngineVersion,
  StorageType,
} from "aws-cdk-lib/aws-rds";
import type { Construct } from "constructs";
import { databaseInstance, type LoaderContext } from "./context.ts";
import {
  addImportedEndpoints,
  addInterfaceEndpoints,
  type DatabaseAccess,
  type DatabaseNetwork,
  importNetwork,
  type Network,
} from "./database-network.ts";
import { allowLogs } from "./loader-function.ts";

export type DatabaseStackProps = StackProps & { readonly context: LoaderContext };

/** Fixed, so that a change that would replace the instance fails; the log groups are named by it. */
const instanceIdentifier = "table-loader";
const exportedLogs = ["postgresql", "upgrade"];

const isolated = { subnetType: SubnetType.PRIVATE_ISOLATED };

/** The database, with a network unless one is imported: a stack of its own, deployed apart from the pipeline. */
export class DatabaseStack extends Stack {
  readonly access: DatabaseAccess;
  readonly instance: DatabaseInstance;

  constructor(scope: Construct, id: string, props: DatabaseStackProps) {
    super(scope, id, props);
    const { context } = props;
    const imported = importNetwork(this, context);
    const network = imported ?? this.ownNetwork();
    const { vpc } = network;
    const functions = new SecurityGroup(this, "Functions", {
      vpc,
      allowAllOutbound: false,
      description: "the functions",
    });
    const database = new SecurityGroup(this, "Database", { vpc, allowAllOutbound: false, description: "the database" });
    const port = Port.tcp(context.databasePort);
    database.addIngressRule(functions, port, "the functions reach the database");
    functions.addEgressRule(database, port, "the functions reach the database");
    // S3 has public addresses; the only route to them is its gateway endpoint.
    functions.connections.allowToAnyIpv4(Port.HTTPS, "S3 and the interface endpoints");
    const access = { ...network, securityGroup: functions };
    if (imported === undefined) {
      network.vpc.addGatewayEndpoint("S3", { service: GatewayVpcEndpointAwsService.S3 });
      addInterfaceEndpoints(this, access);
    } else if (context.createEndpoints) addImportedEndpoints(this, access, context);
    this.instance = this.createInstance(context, network, database);
    this.access = this.accessFor(context, access);
    new CfnOutput(this, "FunctionsSecurityGroup", { value: functions.securityGroupId });
    new CfnOutput(this, "AdministratorSecretArn", { value: this.access.adminSecretArn });
  }

  private accessFor(context: LoaderContext, network: DatabaseNetwork): DatabaseAccess {
    const { secret, dbInstanceEndpointAddress, instanceResourceId } = this.instance;
    if (secret === undefined) throw new Error("database: secret, got none, expected the one that RDS manages");
    return {
      host: dbInstanceEndpointAddress,
      port: String(context.databasePort),
      name: context.databaseName,
      user: context.databaseUser,
      tls: "verify",
      login: { iamResourceId: instanceResourceId ?? "" },
      adminSecretArn: secret.secretArn,
      network,
    };
  }

  /** A VPC without NAT and route to the internet: functions reach AWS through endpoints. */
  private ownNetwork(): Network {
    const vpc = new Vpc(this, "Vpc", {
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: "isolated", subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 }],
    });
    const logGroup = new LogGroup(this, "FlowLogs", {
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    vpc.addFlowLog("FlowLog", { destination: FlowLogDestination.toCloudWatchLogs(logGroup) });
    return { vpc: vpc as IVpc, subnets: isolated };
  }

  private createInstance(context: LoaderContext, network: Network, securityGroup: SecurityGroup): DatabaseInstance {
    const prod = context.stage === "prod";
    const key = new Key(this, "Key", { enableKeyRotation: true, description: "Table Loader: the database" });
    const logs = this.logGroups(key, prod);
    const engine = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_18 });
    const instance = new DatabaseInstance(this, "Postgres", {
      instanceIdentifier,
      engine,
      instanceType: new InstanceType(databaseInstance(context)),
      databaseName: context.databaseName,
      port: context.databasePort,
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      securityGroups: [securityGroup],
      parameterGroup: this.parameters(engine),
      manageMasterUserPassword: true,
      iamAuthentication: true,
      storageType: StorageType.GP3,
      storageEncrypted: true,
      storageEncryptionKey: key,
      allocatedStorage: prod ? 100 : 20,
      maxAllocatedStorage: prod ? 1000 : 100,
      multiAz: prod,
      backupRetention: Duration.days(prod ? 30 : 7),
      deleteAutomatedBackups: false,
      deletionProtection: true,
      copyTagsToSnapshot: true,
      cloudwatchLogsExports: exportedLogs,
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });
    instance.node.addDependency(...logs);
    return instance;
  }

  /** The log groups of the instance, which would otherwise create them without expiry and without a key. */
  private logGroups(key: Key, prod: boolean): LogGroup[] {
    allowLogs(key);
    return exportedLogs.map(
      (name) =>
        new LogGroup(this, `Logs-${name}`, {
          logGroupName: `/aws/rds/instance/${instanceIdentifier}/${name}`,
          retention: prod ? RetentionDays.ONE_YEAR : RetentionDays.THREE_MONTHS,
          // Not retained after a first deployment that fails: the next one could not create them again.
          removalPolicy: prod ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY,
          encryptionKey: key,
        }),
    );
  }

  private parameters(engine: IInstanceEngine): ParameterGroup {
    return new ParameterGroup(this, "Parameters", {
      engine,
      description: "TLS only, no values of rows in the log",
      // DETAIL and CONTEXT of an error quote the row that broke a constraint
      parameters: { "rds.force_ssl": "1", log_error_verbosity: "terse" },
    });
  }
}
