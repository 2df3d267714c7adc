// On paper a page is light, whatever the screen shows.
{
  const { dataset } = document.documentElement;
  let shown = null;
  const print = (onPaper) => {
    if (onPaper && shown === null) [shown, dataset.theme] = [dataset.theme, "light"];
    if (!onPaper && shown !== null) [shown, dataset.theme] = [null, shown];
  };
  matchMedia("print").addEventListener("change", ({ matches }) => print(matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}
