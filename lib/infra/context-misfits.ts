import { capacityFault } from "./capacity.ts";
import type { LoaderContext } from "./context.ts";
import { databaseAuthorities, maxConnections } from "./context-defaults.ts";

/** What is wrong with values that are each allowed by themselves. */
export type Misfit = {
  /** The names of the values; a fault of one of them alone makes the rest of no interest. */
  readonly about: readonly string[];
  readonly text: string;
};

type Rule = readonly [about: readonly (keyof LoaderContext)[], fault: (context: LoaderContext) => string | null];

const existing = ({ databaseHost }: LoaderContext): boolean => databaseHost !== undefined;

/** Of some values that belong together, those that are not there. */
function missing(context: LoaderContext, names: readonly (keyof LoaderContext)[]): string | null {
  const absent = names.filter((name) => context[name] === undefined);
  if (absent.length === 0 || absent.length === names.length) return null;
  return `expected all of ${names.join(", ")} or none; add ${absent.join(", ")}`;
}

const onlyExisting = ["databaseLoaderSecretArn", "databaseResourceId", "securityGroupId"] as const;
const onlyNew = ["databaseInstance", "availabilityZones"] as const;

const rules: readonly Rule[] = [
  [
    ["databaseHost", "databaseSecretArn"],
    (context) =>
      existing(context) === (context.databaseSecretArn !== undefined)
        ? null
        : "databaseHost and databaseSecretArn, got one of them, expected both (an existing database) or none (a new one)",
  ],
  ...onlyExisting.map(
    (name): Rule => [
      [name, "databaseHost"],
      (context) =>
        context[name] === undefined || existing(context)
          ? null
          : `${name}, got a value without databaseHost; it is for an existing database, so leave it out`,
    ],
  ),
  ...onlyNew.map(
    (name): Rule => [
      [name, "databaseHost"],
      (context) =>
        context[name] === undefined || !existing(context)
          ? null
          : `${name}, got a value with databaseHost; it is for a new database, so leave it out`,
    ],
  ),
  [["databaseHost", "vpcId", "subnetIds", "securityGroupId", "availabilityZones"], networkFault],
  [["subnetIds", "availabilityZones"], zonesFault],
  [["vpcId", "createEndpoints", "routeTableIds"], endpointsFault],
  [["databaseLoaderSecretArn", "databaseSecretArn", "databaseResourceId"], loginFault],
  [["databaseTls", "databaseHost", "databaseCa", "databaseResourceId"], tlsFault],
  [["databaseHost", "databaseName", "databaseUser", "databasePort"], newDatabaseFault],
  [["maxConnections", "databaseInstance", "databaseHost"], (context) => capacityFault(maxConnections(context))],
];

/** Every rule that the values break together. */
export function misfits(context: LoaderContext): Misfit[] {
  return rules.flatMap(([about, fault]) => {
    const text = fault(context);
    return text === null ? [] : [{ about, text }];
  });
}

function networkFault(context: LoaderContext): string | null {
  if (existing(context)) {
    const fault = missing(context, ["vpcId", "subnetIds", "securityGroupId"]);
    return fault && `network of the existing database, ${fault}`;
  }
  const fault = missing(context, ["vpcId", "subnetIds", "availabilityZones"]);
  return fault && `existing VPC for a new database, ${fault}`;
}

/** RDS wants two zones, and says so only when everything else has been made. */
function zonesFault({ subnetIds, availabilityZones }: LoaderContext): string | null {
  if (subnetIds === undefined || availabilityZones === undefined) return null;
  if (subnetIds.length !== availabilityZones.length) {
    return `availabilityZones, got ${availabilityZones.length} for ${subnetIds.length} subnetIds; give the zone of each subnet, in their order`;
  }
  if (new Set(availabilityZones).size > 1) return null;
  return `availabilityZones, got ${availabilityZones[0]} alone, expected two zones or more; give subnets of different zones`;
}

function endpointsFault({ vpcId, createEndpoints, routeTableIds }: LoaderContext): string | null {
  if (createEndpoints && vpcId === undefined) {
    return "createEndpoints, got true without vpcId; a network of the stack's own has its endpoints, so leave it out";
  }
  if (createEndpoints === (routeTableIds !== undefined)) return null;
  return createEndpoints
    ? "routeTableIds, got none, expected those of the subnets: the endpoint of S3 is a route; set routeTableIds"
    : "routeTableIds, got a value without createEndpoints; set createEndpoints=true, or leave routeTableIds out";
}

function loginFault(context: LoaderContext): string | null {
  const { databaseLoaderSecretArn, databaseResourceId, databaseSecretArn } = context;
  if (databaseLoaderSecretArn === undefined) return null;
  if (databaseResourceId !== undefined) {
    return "databaseLoaderSecretArn and databaseResourceId, got both, expected one: the loader logs in by password or by IAM";
  }
  if (databaseLoaderSecretArn !== databaseSecretArn) return null;
  return "databaseLoaderSecretArn, got the secret of databaseSecretArn, expected one for the loader alone; make a second";
}

function tlsFault(context: LoaderContext): string | null {
  const { databaseTls, databaseCa, databaseResourceId, stage } = context;
  if (databaseTls === "off") {
    if (stage === "prod" || !existing(context)) {
      return "databaseTls, got off, expected verify; off is for an existing database in stage dev";
    }
    if (databaseResourceId !== undefined) return "databaseTls, got off, expected verify: IAM logs in over TLS alone";
    if (databaseCa !== undefined) return "databaseCa, got a value with databaseTls off; leave one of them out";
  }
  if (!existing(context) && databaseAuthorities(context) === "system") {
    return "databaseCa, got system, expected rds: Node does not know who signs for a new database; leave it out";
  }
  return null;
}

/** What RDS refuses of a new database, and only then. */
function newDatabaseFault(context: LoaderContext): string | null {
  if (existing(context)) return null;
  const { databaseName, databaseUser, databasePort } = context;
  if (!/^[A-Za-z]\w*$/.test(databaseName)) {
    return `databaseName, got "${databaseName}", expected a letter, then letters, digits and _; RDS takes no other`;
  }
  if (databaseUser === "postgres" || databaseUser.startsWith("rds")) {
    return `databaseUser, got "${databaseUser}", expected a name of the loader's own; postgres and rds... are taken`;
  }
  return databasePort < 1150 ? `databasePort, got ${databasePort}, expected 1150 or more; RDS takes no other` : null;
}
