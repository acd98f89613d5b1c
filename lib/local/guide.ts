import { stagingPrefixOf } from "../core/keys.ts";
import type { LocalEnvironment } from "./environment.ts";

const exampleBatchId = "batch_20260101_120000";
const brokenBatchId = "batch_20260101_130000";

/** Says how ordinary clients reach the environment, and what to try. */
export function guideText({ directory, databaseUrl, bucket, variables, machine }: LocalEnvironment): string {
  const { endpoint: bucketUrl, name: bucketName, region } = bucket;
  const machineUrl = variables["LOCAL_MACHINE_ENDPOINT"] ?? "";
  const key = `${stagingPrefixOf(exampleBatchId)}blood.json`;
  return `
Table Loader runs in ${directory} until Ctrl-C. Rows and objects stay for the next time.

database  psql ${databaseUrl}
bucket    ${bucketUrl}, with whatever credentials:
          export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=${region}
          aws --endpoint-url ${bucketUrl} s3 cp blood.json \\
            s3://${bucketName}/${key}
machine   ${machineUrl} speaks StartExecution and DescribeExecution, for example:
          aws --endpoint-url ${machineUrl} stepfunctions start-execution --state-machine-arn \\
            ${machine.arn} --input '{"batchId":"${exampleBatchId}"}'

Try in another terminal, in this folder:
  npx table-loader local seed                 subjects to refer to, and example files
  npx table-loader local put <file> <key>     drop a file without the aws command
  npx table-loader batches                    what is there
  npx table-loader doctor                     what is wrong, if anything is
  npx table-loader --help

What arrives and what becomes of it:`;
}

export type Examples = { readonly good: string; readonly broken: string; readonly mended: string };

/** The commands that drop, preview, approve and mend the example files. */
export function seedText({ good, broken, mended }: Examples): string {
  const goodKey = `${stagingPrefixOf(exampleBatchId)}blood.json`;
  const brokenKey = `${stagingPrefixOf(brokenBatchId)}blood.json`;
  return `
Load a batch:
  npx table-loader local put ${good} ${goodKey}
  npx table-loader preview ${exampleBatchId}
  npx table-loader approve ${exampleBatchId}

See ten broken records named:
  npx table-loader local put ${broken} ${brokenKey}
  npx table-loader approve ${brokenBatchId}

Mend them: drop good records in their place, approve those, and retry:
  npx table-loader local put ${mended} ${brokenKey}
  npx table-loader approve ${brokenBatchId} --no-load
  npx table-loader retry ${brokenBatchId}`;
}
