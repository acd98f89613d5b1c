import { DescribeStateMachineCommand, ListExecutionsCommand, SFNClient } from "@aws-sdk/client-sfn";
import { classifyAwsError } from "../core/classify-error.ts";
import type { MachineDoctor } from "../core/doctor.ts";
import type { ServiceAddress } from "./client-config.ts";
import { toDoctorConfig } from "./doctor-config.ts";

export type MachineDoctorOptions = ServiceAddress & { readonly stateMachineArn: string };
export type OpenMachineDoctor = MachineDoctor & { close(): void };

export function openMachineDoctor(options: MachineDoctorOptions): OpenMachineDoctor {
  const client = new SFNClient(toDoctorConfig(options));
  const { stateMachineArn } = options;
  const ask = async <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
    try {
      return await call();
    } catch (error) {
      throw classifyAwsError(error, `state machine ${stateMachineArn}`) ?? error;
    }
  };
  return {
    async status() {
      const { status } = await ask(() => client.send(new DescribeStateMachineCommand({ stateMachineArn })));
      return status ?? "unknown";
    },
    async running() {
      const command = new ListExecutionsCommand({ stateMachineArn, statusFilter: "RUNNING" });
      const { executions = [] } = await ask(() => client.send(command));
      return executions.flatMap(({ name, startDate }) => (name && startDate ? [{ name, startedAt: startDate }] : []));
    },
    close: () => client.destroy(),
  };
}
