// How search results are ordered: as Sphinx does by default, but chapters before the appendix.
var Scorer = {
  score: ([page, , , , score]) => score + (page.startsWith("appendix/") ? 0 : 20),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
// Results come with a passage of their page, fetched, which files may not.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
