import { type Exchanges, openExchanges } from "./exchanges.ts";
import { type FaultyS3, openFaultyS3, openS3Faults, type S3Faults } from "./faulty-s3.ts";
import { tapPostgres } from "./postgres-tap.ts";
import { type LinkFaults, noFaults, type Owner, openRelay, type Relay } from "./tcp-relay.ts";

/** What can be done to the ways from the sandboxes to database and bucket. */
export type Network = {
  readonly exchanges: Exchanges;
  readonly s3: S3Faults;
  readonly database: LinkFaults;
  readonly bucket: LinkFaults;
  /** Nobody listens at the database's address, as while its server is away. */
  refuseDatabase(): Promise<void>;
  acceptDatabase(): Promise<void>;
  /** No fault any more. */
  heal(): Promise<void>;
};

/** The ways of one sandbox. */
export type Links = { readonly databasePort: number; readonly bucketPort: number; close(): Promise<void> };

export type OpenNetwork = Network & { openLinks(owner: Owner): Promise<Links> };

export type NetworkOptions = { readonly databasePort: number; readonly bucketEndpoint: string };

export function openNetwork({ databasePort, bucketEndpoint }: NetworkOptions): OpenNetwork {
  const [exchanges, s3] = [openExchanges(), openS3Faults()];
  const [database, bucket] = [noFaults(), noFaults()];
  const ways = new Set<Relay>();
  let refusing = false;
  const acceptDatabase = async (): Promise<void> => {
    refusing = false;
    await Promise.all([...ways].map((way) => way.accept()));
  };
  return {
    exchanges,
    s3,
    database,
    bucket,
    refuseDatabase: async () => {
      refusing = true;
      await Promise.all([...ways].map((way) => way.refuse()));
    },
    acceptDatabase,
    heal: async () => {
      exchanges.reset();
      s3.reset();
      Object.assign(database, noFaults());
      Object.assign(bucket, noFaults());
      await acceptDatabase();
    },
    openLinks: async (owner) => {
      const tap = (ends: Parameters<typeof tapPostgres>[0]) => tapPostgres(ends, exchanges);
      const toDatabase = await openRelay({ targetPort: databasePort, owner, faults: database, tap });
      const proxy: FaultyS3 = await openFaultyS3({ upstream: bucketEndpoint, owner, exchanges, faults: s3 });
      const toBucket = await openRelay({ targetPort: proxy.port, owner, faults: bucket });
      ways.add(toDatabase);
      if (refusing) await toDatabase.refuse();
      const close = async (): Promise<void> => {
        ways.delete(toDatabase);
        await Promise.all([toDatabase.close(), toBucket.close(), proxy.close()]);
      };
      return { databasePort: toDatabase.port, bucketPort: toBucket.port, close };
    },
  };
}
