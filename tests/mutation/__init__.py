"""Mutation testing: do the tests see a small change of the code that everything rests on?

``python -m tests.mutation`` draws 400 mutants (``operators``) of the modules in ``targets`` at a
fixed seed, runs the tests of each, and keeps what became of them in ``results.json``, so that a
second call goes on where the first was stopped.  ``equivalent.py`` says of every mutant that
survives why it is none: tests/test_mutation.py compares the two.

Neither of the tools on PyPI fits.  mutmut 3.8.1 mutates bodies of functions alone, not the
constants of a module, by way of trampolines that are not the functions ``tests.planted``
replaces; cosmic-ray 8.7.0 changes files in place and has one test command for all modules.
Both leave out drawing mutants at a seed, and loading torch and sympy anew for each of 400 costs
more than their tests.
"""
