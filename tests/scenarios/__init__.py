"""One table of faults. The tests of codes, words, pages and doctor check the same agents while the faults last."""
