/** What to do about the faults of what cannot be reached; docs/reference/errors.md has them all. */
const fixes: Readonly<Record<string, string>> = {
  DB_UNAVAILABLE: "check that the server runs, DB_HOST and DB_PORT, and that its network lets the loader through",
  DB_CONNECTION_LOST: "check that the server runs and takes connections on this port",
  DB_STALLED: "check the network and the server's load",
  DB_AUTH: "check DB_USER, and its password, secret or IAM login",
  DB_MISSING: "check DB_NAME",
  DB_TLS: "check the host name and the certificate authority; DB_TLS=off only where nobody else listens",
  DB_PERMISSION: "grant connect on the database to the role",
  DB_TOO_MANY_CONNECTIONS: "see who holds them in pg_stat_activity",
  S3_BUCKET: "check S3_BUCKET and AWS_REGION",
  S3_ACCESS: "check the role, the bucket's policy, and its owner (S3_BUCKET_OWNER)",
  S3_MISSING: "check S3_BUCKET",
  AWS_ACCESS: "check the permissions of whoever asks, and that there are credentials",
  AWS_MISSING: "check the deployment, its settings, and AWS_REGION",
  AWS_UNAVAILABLE: "check the network: security groups and endpoints of the VPC, or the local environment",
  NOT_CONNECTED: "table-loader local, or name the deployed function with --function or OPERATE_FUNCTION",
  INPUT_INVALID: "deploy the functions again: these know no doctor yet",
  FUNCTION_FAILED: "read the log of the function operate",
  NO_ANSWER: "check the network: security groups, routes and endpoints of the VPC",
};

export function fixOf(code: string): string {
  return fixes[code] ?? `see ${code} in docs/reference/errors.md`;
}
