import { type Exchanges, openExchanges } from "./exchanges.ts";
import { openFaultyS3, openS3Faults, type S3Faults } from "./faulty-s3.ts";
import { tapPostgres } from "./postgres-tap.ts";
import { type LinkFaults, noFaults, type Owner, openRelay, type Relay, type TapEnds } from "./tcp-relay.ts";

/** The links from the sandboxes to database and bucket, and their faults. */
export type Network = {
  readonly exchanges: Exchanges;
  readonly s3: S3Faults;
  readonly database: LinkFaults;
  readonly bucket: LinkFaults;
  /** Lets nothing listen at the database's address, as while its server is away. */
  refuseDatabase(): Promise<void>;
  acceptDatabase(): Promise<void>;
  /** Ends all faults. */
  heal(): Promise<void>;
};

/** The links of one sandbox. */
type Links = { readonly databasePort: number; readonly bucketPort: number; close(): Promise<void> };

export type OpenNetwork = Network & { openLinks(owner: Owner): Promise<Links> };

type NetworkOptions = { readonly databasePort: number; readonly bucketEndpoint: string };

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
    ...{ exchanges, s3, database, bucket },
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
      const tap = (ends: TapEnds) => tapPostgres(ends, exchanges);
      const toDatabase = await openRelay({ targetPort: databasePort, owner, faults: database, tap });
      const proxy = await openFaultyS3({ upstream: bucketEndpoint, owner, exchanges, faults: s3 });
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
