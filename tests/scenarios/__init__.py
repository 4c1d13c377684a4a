"""One table of faults. The tests of codes, words, pages and doctor look at the same agents while the faults last."""
