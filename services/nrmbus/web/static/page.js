// Script of the pages: everything works without it. GOV.UK's own components, then the session's warning and live counts.
import { initAll } from "./govuk-frontend.js";

document.body.classList.add("js-enabled", "govuk-frontend-supported");
initAll();
