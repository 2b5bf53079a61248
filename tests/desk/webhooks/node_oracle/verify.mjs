// Verifies webhooks with the public libraries and Node's own Ed25519: reads a list of cases as JSON, prints a list of verdicts.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

const SPKI = Buffer.from("302a300506032b6570032100", "hex");

function asymmetric(key, body, headers) {
  const raw = Buffer.from(key.slice("whpk_".length), "base64");
  const spki = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const fits = headers["webhook-signature"].split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    return version === "v1a" && verify(null, signed, spki, Buffer.from(signature, "base64"));
  });
  if (!fits) throw new Error("no signature fits");
}

const judges = {
  standardwebhooks: (key, body, headers) => new Standard(key).verify(body, headers),
  svix: (key, body, headers) => new Svix(key).verify(body, headers),
  node: asymmetric,
};

const verdicts = JSON.parse(readFileSync(0, "utf8")).map(({ judge, key, body, headers }) => {
  try {
    judges[judge](key, body, headers);
    return true;
  } catch {
    return false;
  }
});
console.log(JSON.stringify(verdicts));
