// Passkeys: a form shows its button where the browser knows them, and sends the authenticator's answer as a field.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const known = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

const ask = (kind, options) => {
  const publicKey = { ...options, challenge: bytes(options.challenge) };
  if (kind === "use") {
    publicKey.allowCredentials = known(options.allowCredentials);
    return navigator.credentials.get({ publicKey });
  }
  publicKey.user = { ...options.user, id: bytes(options.user.id) };
  publicKey.excludeCredentials = known(options.excludeCredentials);
  return navigator.credentials.create({ publicKey });
};

const answer = (made) => {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (made.response[name]) response[name] = text(made.response[name]);
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
};

export function offer(form) {
  const { passkey, passkeyOptions } = form.dataset;
  if (!window.PublicKeyCredential || !passkeyOptions) return;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.passkey.value) return;
    event.preventDefault();
    try {
      form.elements.passkey.value = answer(await ask(passkey, JSON.parse(passkeyOptions)));
    } catch {
      return;  // the person closed the window: the button can be pressed again
    }
    form.submit();
  });
}
