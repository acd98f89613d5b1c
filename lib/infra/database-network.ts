import { Fn, Stack } from "aws-cdk-lib";
import {
  CfnVPCEndpoint,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  type ISecurityGroup,
  type IVpc,
  Port,
  SecurityGroup,
  Subnet,
  type SubnetSelection,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import type { Construct } from "constructs";
import type { LoaderContext } from "./context.ts";

/** Subnets of a VPC, the stack's own or somebody else's. */
export type Network = { readonly vpc: IVpc; readonly subnets: SubnetSelection };

export type DatabaseNetwork = Network & {
  /** The security group of the functions. */
  readonly securityGroup: ISecurityGroup;
};

/** The VPC that the context names. It is not looked up, so that no credential is needed to make the templates. */
export function importNetwork(scope: Construct, context: LoaderContext): Network | undefined {
  const { vpcId, subnetIds, availabilityZones } = context;
  if (vpcId === undefined || subnetIds === undefined) return undefined;
  const zones = availabilityZones ?? [Fn.select(0, Fn.getAzs(Stack.of(scope).region))];
  const subnets = subnetIds.map((subnetId, index) => Subnet.fromSubnetId(scope, `Subnet${index + 1}`, subnetId));
  return { vpc: Vpc.fromVpcAttributes(scope, "Vpc", { vpcId, availabilityZones: zones }), subnets: { subnets } };
}

/** Where an existing database is reached from. */
function existingNetwork(scope: Construct, context: LoaderContext): DatabaseNetwork | undefined {
  const network = importNetwork(scope, context);
  const { securityGroupId, createEndpoints } = context;
  if (network === undefined || securityGroupId === undefined) return undefined;
  const securityGroup = SecurityGroup.fromSecurityGroupId(scope, "SecurityGroup", securityGroupId, { mutable: false });
  if (createEndpoints) addImportedEndpoints(scope, { ...network, securityGroup }, context);
  return { ...network, securityGroup };
}

/** Endpoints of somebody else's VPC: the one of S3 becomes a route in the tables that the context names. */
export function addImportedEndpoints(scope: Construct, network: DatabaseNetwork, context: LoaderContext): void {
  const { vpc } = network;
  new CfnVPCEndpoint(scope, "S3", {
    vpcId: vpc.vpcId,
    serviceName: GatewayVpcEndpointAwsService.S3.name,
    vpcEndpointType: "Gateway",
    routeTableIds: [...(context.routeTableIds ?? [])],
  });
  addInterfaceEndpoints(scope, network);
}

/** What the functions call besides S3: executions are started through one, migrate reads its secret through the other. */
export function addInterfaceEndpoints(scope: Construct, { vpc, subnets, securityGroup }: DatabaseNetwork): void {
  const services = {
    States: InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
    Secrets: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  };
  for (const [name, service] of Object.entries(services)) {
    const own = new SecurityGroup(scope, `${name}Endpoint`, { vpc, allowAllOutbound: false });
    own.addIngressRule(securityGroup, Port.HTTPS, "the functions call the endpoint");
    new InterfaceVpcEndpoint(scope, `${name}Interface`, { vpc, service, subnets, securityGroups: [own], open: false });
  }
}

/** How functions reach the database, new or existing. */
export type DatabaseAccess = {
  readonly host: string;
  /** A text, since the port of a new database is a token. */
  readonly port: string;
  readonly name: string;
  /** The user of the loader. */
  readonly user: string;
  readonly tls: "verify" | "off";
  /** Tokens signed by IAM for the RDS resource id, or user and password from a secret. */
  readonly login: { readonly iamResourceId: string } | { readonly secretArn: string };
  /** Read by migrate alone: it owns the control tables. */
  readonly adminSecretArn: string;
  /** Where the functions sit. @default - outside any VPC */
  readonly network?: DatabaseNetwork;
};

/** An existing database, as the context describes it. */
export function existingDatabase(scope: Construct, context: LoaderContext): DatabaseAccess {
  const { databaseHost, databaseSecretArn, databaseLoaderSecretArn, databaseResourceId } = context;
  if (databaseHost === undefined || databaseSecretArn === undefined) {
    throw new Error("context: databaseHost, got none, expected the host of an existing database; set databaseHost");
  }
  const network = existingNetwork(scope, context);
  return {
    host: databaseHost,
    port: String(context.databasePort),
    name: context.databaseName,
    user: context.databaseUser,
    tls: context.databaseTls,
    login:
      databaseResourceId === undefined
        ? { secretArn: databaseLoaderSecretArn ?? databaseSecretArn }
        : { iamResourceId: databaseResourceId },
    adminSecretArn: databaseSecretArn,
    ...(network && { network }),
  };
}
