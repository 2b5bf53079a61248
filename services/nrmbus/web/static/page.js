// Script of the pages: everything works without it. GOV.UK's own components, then the session's warning and live counts.
import { initAll } from "./govuk-frontend.js";

document.body.classList.add("js-enabled", "govuk-frontend-supported");
initAll();

const session = document.getElementById("nrm-session");
if (session) import("./session.js").then((script) => script.watch(session));

const passkeys = document.querySelectorAll("form[data-passkey]");
if (passkeys.length) import("./passkey.js").then((script) => passkeys.forEach(script.offer));
