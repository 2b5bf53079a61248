// Warns two minutes before a session ends, and extends it if the person says so. The page says the same without a script.
// After the end it leads to the sign-in; a page on which something was typed stays, and says that the session is over.
const WARNING = 120;

export function watch(dialog) {
  const { address, over, back } = dialog.dataset;
  const ended = document.getElementById("nrm-session-over");
  const stay = dialog.querySelector("[data-stay]");
  let ends = Date.now() + 1000 * Number(dialog.dataset.seconds);
  let timer;

  let typed = false;
  document.addEventListener("input", () => { typed = true; });

  const leave = () => {
    if (!typed) return location.assign(back ? `${over}?over=1&back=${encodeURIComponent(back)}` : `${over}?over=1`);
    if (dialog.open) dialog.close();
    ended.hidden = false;
    ended.scrollIntoView();
  };

  // Another tab may have used the session since: the desk is asked before anything is said.
  const left = async (method) => {
    const headers = method === "GET" ? { "nrm-by-itself": "1" } : {};
    const answer = await fetch(address, { method, headers, redirect: "manual" });
    if (answer.status === 401 || answer.type === "opaqueredirect") return 0;
    if (!answer.ok) throw new Error("no answer");
    return (await answer.json()).seconds;
  };

  const wait = (seconds) => {
    clearTimeout(timer);
    ends = Date.now() + 1000 * seconds;
    timer = setTimeout(look, 1000 * Math.max(1, seconds - WARNING));
  };

  const look = async () => {
    let seconds = Math.round((ends - Date.now()) / 1000);
    try {
      seconds = await left("GET");
    } catch { /* the desk is away: the clock decides */ }
    if (seconds > WARNING) return close(), wait(seconds);
    if (seconds <= 0) return leave();
    document.dispatchEvent(new CustomEvent("nrm:session-ends"));  // drafts are kept now
    if (!dialog.open) dialog.showModal();
    ends = Date.now() + 1000 * seconds;
    timer = setTimeout(look, 1000 * Math.min(seconds + 1, 10));
  };

  const close = () => {
    if (dialog.open) dialog.close();
    ended.hidden = true;
  };

  stay.addEventListener("click", async () => {
    try {
      const seconds = await left("POST");
      if (seconds <= 0) return leave();
      close();
      wait(seconds);
    } catch { /* the dialog stays, and the button can be pressed again */ }
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && ends - Date.now() < 1000 * WARNING) look();  // timers sleep with a computer
  });
  wait(Number(dialog.dataset.seconds));
}
