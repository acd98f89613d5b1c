import { Fn, Stack } from "aws-cdk-lib";
import { type ISecurityGroup, type IVpc, SecurityGroup, Subnet, type SubnetSelection, Vpc } from "aws-cdk-lib/aws-ec2";
import type { Construct } from "constructs";
import type { LoaderContext } from "./context.ts";

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

export type DatabaseNetwork = {
  readonly vpc: IVpc;
  readonly subnets: SubnetSelection;
  /** The security group of the functions. */
  readonly securityGroup: ISecurityGroup;
};

/** An existing database, as the context describes it. */
export function existingDatabase(scope: Construct, context: LoaderContext): DatabaseAccess {
  const { databaseHost, databaseSecretArn } = context;
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
    login: { secretArn: databaseSecretArn },
    adminSecretArn: databaseSecretArn,
    ...(network && { network }),
  };
}

function existingNetwork(scope: Construct, context: LoaderContext): DatabaseNetwork | undefined {
  const { vpcId, subnetIds, securityGroupId } = context;
  if (vpcId === undefined || subnetIds === undefined || securityGroupId === undefined) return undefined;
  const zones = Fn.getAzs(Stack.of(scope).region);
  return {
    vpc: Vpc.fromVpcAttributes(scope, "Vpc", { vpcId, availabilityZones: [Fn.select(0, zones)] }),
    subnets: {
      subnets: subnetIds.map((subnetId, index) => Subnet.fromSubnetId(scope, `Subnet${index + 1}`, subnetId)),
    },
    securityGroup: SecurityGroup.fromSecurityGroupId(scope, "SecurityGroup", securityGroupId, { mutable: false }),
  };
}
