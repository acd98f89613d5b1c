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

/** The network of the database and the functions' access to it, for a new database and for an existing one. */

/** Subnets of a VPC, the stack's own or an imported one. */
export type Network = { readonly vpc: IVpc; readonly subnets: SubnetSelection };

export type DatabaseNetwork = Network & {
  /** The security group of the functions. */
  readonly securityGroup: ISecurityGroup;
};

/** Imports the VPC that the context names, without a look-up: templates are made without credentials. */
export function importNetwork(scope: Construct, context: LoaderContext): Network | undefined {
  const { vpcId, subnetIds, availabilityZones } = context;
  if (vpcId === undefined || subnetIds === undefined) return undefined;
  const zones = availabilityZones ?? [Fn.select(0, Fn.getAzs(Stack.of(scope).region))];
  const subnets = subnetIds.map((subnetId, index) => Subnet.fromSubnetId(scope, `Subnet${index + 1}`, subnetId));
  return { vpc: Vpc.fromVpcAttributes(scope, "Vpc", { vpcId, availabilityZones: zones }), subnets: { subnets } };
}

/** The network from which the functions reach an existing database; undefined outside any VPC. */
function existingNetwork(scope: Construct, context: LoaderContext): DatabaseNetwork | undefined {
  const network = importNetwork(scope, context);
  const { securityGroupId, createEndpoints } = context;
  if (network === undefined || securityGroupId === undefined) return undefined;
  const securityGroup = SecurityGroup.fromSecurityGroupId(scope, "SecurityGroup", securityGroupId, { mutable: false });
  if (createEndpoints) addImportedEndpoints(scope, { ...network, securityGroup }, context);
  return { ...network, securityGroup };
}

/** Adds endpoints to an imported VPC; that of S3 becomes a route in the route tables that the context names. */
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

/** Adds the endpoints besides S3: functions start executions through one, migrate reads its secret through the other. */
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

/** Address and login of the database for the functions, new or existing. */
export type DatabaseAccess = {
  readonly host: string;
  /** A text, since the port of a new database is a token. */
  readonly port: string;
  readonly name: string;
  /** The database user as which the loader logs in. */
  readonly user: string;
  readonly tls: "verify" | "off";
  /** Tokens signed by IAM for the RDS resource id, or user and password from a secret. */
  readonly login: { readonly iamResourceId: string } | { readonly secretArn: string };
  /** Login of migrate, which owns the control tables; no other function reads it. */
  readonly adminSecretArn: string;
  /** @default - functions outside any VPC */
  readonly network?: DatabaseNetwork;
};

/**
 * An existing database as the context describes it.
 *
 * @throws Error if the context names none
 */
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
