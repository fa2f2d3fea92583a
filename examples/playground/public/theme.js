// The colours that were chosen last, before anything is drawn.
try {
  const theme = localStorage.getItem("mtac-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Where nothing is stored, the page follows the system.
}
