// Two agencies' systems in JavaScript, written by the documentation alone: an NGO refers, the special unit is told by a
// webhook, opens the letter, and answers; the NGO hears the answers by server-sent events.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { verified } from "./verified.mjs"; // the example of the page about webhooks

class Desk {
  constructor(url, token) {
    this.url = url;
    this.headers = { authorization: `Bearer ${token}` };
  }

  async ask(method, path, body, more = {}) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...this.headers, ...more, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(`${said.code}: ${said.sentence} ${JSON.stringify(said.problems ?? [])}`);
    return said;
  }

  async publish(event) {
    const said = await this.ask("POST", "/v1/events", event, { prefer: "wait=60", "idempotency-key": `"${newId()}"` });
    console.log(said.verdict, said.type);
    return said;
  }

  async *follow() {
    const answer = await fetch(`${this.url}/v1/inbox/stream`, { headers: this.headers });
    let text = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end));
        if (data) yield JSON.parse(data[1]);
      }
    }
  }
}

function newId() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const ngo = new Desk(process.env.NGO_URL, process.env.NGO_TOKEN);
const unit = new Desk(process.env.UNIT_URL, process.env.UNIT_TOKEN);

let told;
const notice = new Promise((resolve) => { told = resolve; });
let key;
const receiver = createServer((request, response) => {
  if (request.method === "OPTIONS") {
    response.writeHead(200, { "webhook-allowed-origin": request.headers["webhook-request-origin"] }).end();
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part)).on("end", () => {
    const body = Buffer.concat(parts);
    const said = verified(request.headers, body, key);
    const altered = verified(request.headers, Buffer.concat([body, Buffer.from(" ")]), key);
    response.writeHead(said ? 204 : 400).end();
    if (said) told([said, altered]);
  });
});
await new Promise((resolve) => { receiver.listen(0, "127.0.0.1", resolve); });
const url = `http://127.0.0.1:${receiver.address().port}/hook`;
key = (await unit.ask("POST", "/v1/webhooks", { url, types: ["referral.submitted"] })).keys[0].key;

const { case: person } = await ngo.publish({
  type: "case.signal_recorded",
  actor: "worker-7041",
  data: { detector: "ngo_outreach", child: false, urgency: "urgent", detected_abroad: false, basis: ["indicators"] },
  sealed: { age_band: "25-34", sex: "F" },
});
await ngo.publish({
  type: "consent.given",
  actor: "worker-7041",
  case: person,
  data: { purposes: ["services", "information_sharing"], receivers: ["special-unit"], given_by: "individual", form: "written" },
});
const ref = randomBytes(16).toString("hex");
await ngo.publish({
  type: "referral.submitted",
  actor: "worker-7041",
  case: person,
  ref,
  to: ["special-unit"],
  legal_basis: "CoM 21/2008 art. 7",
  data: { mode: "referral", reason: "FormalIdentification", urgency: "emergency", services: ["safe_shelter"], child: false },
  sealed: { name: "Alina Example", facts: "Held by an employer; passport taken." },
});

const [said, altered] = await notice;
console.log("told of", said.type, altered);
const [found] = (await unit.ask("GET", said.data.link)).events;
const [opened] = (await unit.ask("GET", `/v1/inbox?after=${found.row - 1}&limit=1&open=true&actor=officer-3`)).events;
const written = Object.entries(opened.letter).filter(([, fields]) => Object.keys(fields).length);
console.log("opened", written.map(([part]) => part).sort().join(" "), opened.letter.identity.name);
for (const [type, data] of [
  ["referral.acknowledged", { receipt_no: "SU-1", duty_role: "duty_officer" }],
  ["referral.accepted", { next_step: "reception" }],
]) {
  await unit.publish({ type, actor: "officer-3", case: person, ref: found.ref, cause: found.id, data });
}

for await (const event of ngo.follow()) {
  if (event.case !== person) continue;
  console.log("heard", event.type, "from", event.source, event.ref === ref);
  if (event.type === "referral.accepted") break;
}
process.exit(0);
