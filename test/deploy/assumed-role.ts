import { UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import { type Clients, openClients } from "./clients.ts";
import { account, type EmulatorAddress } from "./emulator.ts";

/**
 * Clients that act as a role of the stack. Roles trust Lambda alone, so for the time of the test the account's root is
 * let in, too; what a role may do is not touched by that.
 */
export async function assumeRole(emulator: EmulatorAddress, root: Clients, roleName: string): Promise<Clients> {
  const principal = { Service: "lambda.amazonaws.com", AWS: `arn:aws:iam::${account}:root` };
  const statement = { Effect: "Allow", Action: "sts:AssumeRole", Principal: principal };
  const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await root.iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: roleName, PolicyDocument }));
  const RoleArn = `arn:aws:iam::${account}:role/${roleName}`;
  const { Credentials } = await root.sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "test" }));
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
  return openClients(emulator, {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken,
  });
}

const denials = ["AccessDenied", "AccessDeniedException", "AuthorizationError"];

/** Whether IAM lets a request pass; what becomes of it then does not count. */
export async function isLetPass(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request();
    return true;
  } catch (error) {
    const { name } = error as Error;
    if (denials.includes(name)) return false;
    if (name.startsWith("NoSuch") || name.endsWith("DoesNotExist") || name === "ResourceNotFoundException") return true;
    throw error;
  }
}
