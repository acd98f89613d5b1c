/** A certificate of db.example.org that nobody but itself has signed, valid for a hundred years; for tests alone. */
export const selfSigned = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSLWy2aE3GJ8Q8Pdp
itVvP2Wszl4Ub/4RaN+myQ3TsaGhRANCAARtW4CvdMguqMcufeu3GHAMUCGncliZ
s/V0vUpJ2fTQcm7HKxbRfb4JZ28+F79wG2DNHCe6L5Btwd7hoVJIelaC
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBpTCCAUqgAwIBAgIURAXDfj2jTIhStbSDr/NHQajOuzUwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOZGIuZXhhbXBsZS5vcmcwIBcNMjYxMTIyMjIxMzQ2WhgPMjEy
NjEwMjkyMjEzNDZaMBkxFzAVBgNVBAMMDmRiLmV4YW1wbGUub3JnMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEbVuAr3TILqjHLn3rtxhwDFAhp3JYmbP1dL1KSdn0
0HJuxysW0X2+CWdvPhe/cBtgzRwnui+QbcHe4aFSSHpWgqNuMGwwHQYDVR0OBBYE
FLzkn/s8N+nxuoJh5hCc8S+6nwbnMB8GA1UdIwQYMBaAFLzkn/s8N+nxuoJh5hCc
8S+6nwbnMA8GA1UdEwEB/wQFMAMBAf8wGQYDVR0RBBIwEIIOZGIuZXhhbXBsZS5v
cmcwCgYIKoZIzj0EAwIDSQAwRgIhAL4t3RSLDCM/goK+eg5kYG3LvS02/tWvfhse
W05OrVL4AiEA+Cw5i7kAI8LgRXVeX4A2YTxjU1zx2+9uQTpDjq/AipU=
-----END CERTIFICATE-----`,
};
