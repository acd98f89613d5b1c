import { Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  InstanceType,
  InterfaceVpcEndpointAwsService,
  type IVpc,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  type IInstanceEngine,
  ParameterGroup,
  PostgresEngineVersion,
} from "aws-cdk-lib/aws-rds";
import type { Construct } from "constructs";
import { databaseInstance, type LoaderContext } from "./context.ts";
import type { DatabaseAccess } from "./database-access.ts";

export type DatabaseStackProps = StackProps & { readonly context: LoaderContext };

const isolated = { subnetType: SubnetType.PRIVATE_ISOLATED };

/** Network and database in a stack of their own: the pipeline can be deployed, and thrown away, without them. */
export class DatabaseStack extends Stack {
  readonly access: DatabaseAccess;
  readonly instance: DatabaseInstance;

  constructor(scope: Construct, id: string, props: DatabaseStackProps) {
    super(scope, id, props);
    const { context } = props;
    const vpc = this.network();
    const functions = new SecurityGroup(this, "Functions", {
      vpc,
      allowAllOutbound: false,
      description: "the functions",
    });
    const database = new SecurityGroup(this, "Database", { vpc, allowAllOutbound: false, description: "the database" });
    const port = Port.tcp(context.databasePort);
    database.addIngressRule(functions, port, "the functions reach the database");
    functions.addEgressRule(database, port, "the functions reach the database");
    this.endpoints(vpc, functions);
    this.instance = this.createInstance(context, vpc, database);
    const secret = this.instance.secret;
    if (secret === undefined) throw new Error("database: secret, got none, expected the one that RDS manages");
    this.access = {
      host: this.instance.dbInstanceEndpointAddress,
      port: String(context.databasePort),
      name: context.databaseName,
      user: context.databaseUser,
      tls: "verify",
      login: { iamResourceId: this.instance.instanceResourceId ?? "" },
      adminSecretArn: secret.secretArn,
      network: { vpc, subnets: isolated, securityGroup: functions },
    };
  }

  /** No NAT and no route to the internet: what a function needs outside has an endpoint. */
  private network(): IVpc {
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
    return vpc as IVpc;
  }

  private endpoints(vpc: IVpc, functions: SecurityGroup): void {
    vpc.addGatewayEndpoint("S3", { service: GatewayVpcEndpointAwsService.S3 });
    // S3's addresses are public ones; only the gateway endpoint has a route to them.
    functions.connections.allowToAnyIpv4(Port.HTTPS, "S3 and the interface endpoints");
    const services = {
      States: InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
      Secrets: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    };
    for (const [name, service] of Object.entries(services)) {
      const securityGroup = new SecurityGroup(this, `${name}Endpoint`, { vpc, allowAllOutbound: false });
      securityGroup.addIngressRule(functions, Port.HTTPS, "the functions call the endpoint");
      vpc.addInterfaceEndpoint(name, { service, subnets: isolated, securityGroups: [securityGroup], open: false });
    }
  }

  private createInstance(context: LoaderContext, vpc: IVpc, securityGroup: SecurityGroup): DatabaseInstance {
    const prod = context.stage === "prod";
    const engine = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_18 });
    return new DatabaseInstance(this, "Postgres", {
      engine,
      instanceType: new InstanceType(databaseInstance(context)),
      databaseName: context.databaseName,
      port: context.databasePort,
      vpc,
      vpcSubnets: isolated,
      securityGroups: [securityGroup],
      parameterGroup: this.parameters(engine),
      manageMasterUserPassword: true,
      iamAuthentication: true,
      storageEncrypted: true,
      allocatedStorage: prod ? 100 : 20,
      maxAllocatedStorage: prod ? 1000 : 100,
      multiAz: prod,
      backupRetention: Duration.days(prod ? 30 : 7),
      deletionProtection: true,
      copyTagsToSnapshot: true,
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });
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
