// The slider says which registration it stands at, and shows the case as of it when it is let go. Without this, the button does.
const slider = document.getElementById("step");
if (slider) {
  const said = document.getElementById("step-time");
  const times = slider.dataset.times.split("|");
  const pattern = said.textContent.split("·")[0];
  const [first] = pattern.match(/\d+/) ?? [""];
  slider.addEventListener("input", () => {
    said.textContent = `${pattern.replace(first, slider.value)}· ${times[slider.value - 1]}`;
  });
  slider.addEventListener("change", () => slider.form.requestSubmit());
}
