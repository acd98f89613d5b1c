import { fileURLToPath } from "node:url";
import { Aws, Duration, RemovalPolicy } from "aws-cdk-lib";
import { Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IKey, Key } from "aws-cdk-lib/aws-kms";
import { Alias, Architecture, type IVersion, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import { NodejsFunction, OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { functionSizes, type HandlerName } from "./capacity.ts";
import type { DatabaseNetwork } from "./database-network.ts";

type LoaderFunctionProps = {
  readonly handler: HandlerName;
  readonly environment: Readonly<Record<string, string>>;
  readonly prod: boolean;
  readonly logKey: IKey;
  /** Network of a function that needs the database. @default - outside any VPC */
  readonly network?: DatabaseNetwork;
  /** Folders below lib/ that are copied beside the bundle, by the name they get there. @default - none */
  readonly folders?: Readonly<Record<string, string>>;
  /** Absolute paths of files that are copied beside the bundle, by the name they get there. @default - none */
  readonly files?: Readonly<Record<string, string>>;
};

const projectRoot = fileURLToPath(new URL("../../", import.meta.url));

/** One handler file as a Lambda function, with a role, a log group and published versions of its own. */
export class LoaderFunction extends Construct {
  readonly function: NodejsFunction;
  readonly role: Role;
  readonly logGroup: LogGroup;

  constructor(scope: Construct, id: string, props: LoaderFunctionProps) {
    super(scope, id);
    this.logGroup = new LogGroup(this, "Logs", {
      retention: props.prod ? RetentionDays.ONE_YEAR : RetentionDays.THREE_MONTHS,
      removalPolicy: props.prod ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      encryptionKey: props.logKey,
    });
    this.role = new Role(this, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    this.logGroup.grantWrite(this.role);
    if (props.network !== undefined) allowNetworkInterfaces(this.role);
    this.function = this.nodejsFunction(props);
  }

  /** The version that the machine invokes: an execution keeps the code with which it began. */
  get version(): IVersion {
    return this.function.currentVersion as IVersion;
  }

  /** The alias that events and users invoke. */
  live(): Alias {
    return (
      (this.node.tryFindChild("Live") as Alias | undefined) ??
      new Alias(this, "Live", { aliasName: "live", version: this.version })
    );
  }

  allow(actions: readonly string[], resources: readonly string[]): void {
    this.role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [...resources] }));
  }

  private nodejsFunction(props: LoaderFunctionProps): NodejsFunction {
    const size = functionSizes[props.handler];
    const { network } = props;
    return new NodejsFunction(this, "Function", {
      entry: `${projectRoot}functions/${props.handler}.ts`,
      handler: "handler",
      projectRoot,
      depsLockFilePath: `${projectRoot}package-lock.json`,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      description: `Table Loader: ${props.handler}`,
      role: this.role,
      logGroup: this.logGroup,
      memorySize: size.memoryMb,
      timeout: Duration.seconds(size.timeoutSeconds),
      ...(size.connections !== null && { reservedConcurrentExecutions: size.connections }),
      tracing: Tracing.ACTIVE,
      environment: { ...props.environment, NODE_OPTIONS: nodeOptionsOf(size.memoryMb) },
      currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN },
      bundling: bundling(props),
      ...(network && { vpc: network.vpc, vpcSubnets: network.subnets, securityGroups: [network.securityGroup] }),
    });
  }
}

function bundling({ folders = {}, files = {} }: LoaderFunctionProps) {
  return {
    ...bundleOptions,
    format: OutputFormat.ESM,
    sourceMap: false,
    bundleAwsSDK: true,
    tsconfig: `${projectRoot}tsconfig.json`,
    commandHooks: {
      beforeInstall: () => [],
      beforeBundling: () => [],
      afterBundling: (inputDir: string, outputDir: string) => [
        ...Object.entries(folders).map(([name, path]) => `cp -R "${inputDir}/lib/${path}" "${outputDir}/${name}"`),
        ...Object.entries(files).map(([name, path]) => `cp "${path}" "${outputDir}/${name}"`),
      ],
    },
  };
}

/** Allows Lambda to create network interfaces, and denies the same to the function's own code. */
function allowNetworkInterfaces(role: Role): void {
  const actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ];
  role.addToPolicy(new PolicyStatement({ actions, resources: ["*"] }));
  role.addToPolicy(
    new PolicyStatement({
      effect: Effect.DENY,
      actions,
      resources: ["*"],
      conditions: { Null: { "lambda:SourceFunctionArn": "false" } },
    }),
  );
}

/** Some packages in the bundle still call `require`. */
const requireBanner = [
  'import { createRequire as requireMaker } from "node:module";',
  "const require = requireMaker(import.meta.url);",
].join("");

/** Options of esbuild that make a handler one file: for deployment and for the benchmarks. */
export const bundleOptions = {
  target: "node24",
  mainFields: ["module", "main"],
  minify: true,
  banner: requireBanner,
};

/** Allows CloudWatch Logs, which uses a key in its own name, to encrypt the log groups of this account. */
export function allowLogs(key: Key): void {
  const groups = `arn:${Aws.PARTITION}:logs:${Aws.REGION}:${Aws.ACCOUNT_ID}:log-group:*`;
  key.addToResourcePolicy(
    new PolicyStatement({
      actions: [
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:DescribeKey",
      ],
      resources: ["*"],
      principals: [new ServicePrincipal(`logs.${Aws.REGION}.amazonaws.com`)],
      conditions: { ArnLike: { "kms:EncryptionContext:aws:logs:arn": groups } },
    }),
  );
}

/** Share of a function's memory that Lambda's runtime gives to the old generation by default. */
const oldGenerationShare = 0.9;

/**
 * Flags of Node for a function with this memory (MB): deployed as NODE_OPTIONS, and used by the benchmarks.
 *
 * Without a limit the young generation grows with the size of the fragment: at 100 MB a worker held 282 MB, with it
 * 215 MB. Lambda's runtime sets neither flag if one is given, so both are set here.
 */
export function nodeOptionsOf(memoryMb: number): string {
  return `--max-semi-space-size=4 --max-old-space-size=${Math.floor(memoryMb * oldGenerationShare)}`;
}
