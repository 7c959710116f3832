"""Runs tests of one suite of paho.mqtt.testing, whose sources stay as they are, against a broker.

Usage: run_suite.py SCRIPT HOST PORT list
       run_suite.py SCRIPT HOST PORT run TEST...

Results go to file descriptor 3, one JSON object a line: the suites write freely to both standard streams.
The suites parse their arguments themselves and then call unittest.main() without any, which would take theirs for names of
tests; so it is replaced for the run.
"""
import json
import os
import runpy
import sys
import time
import unittest

script, host, port, mode, *names = sys.argv[1:]
results = os.fdopen(3, "w", buffering=1)


def tell(**fields):
    results.write(json.dumps(fields) + "\n")


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.fault = None
        self.started = time.monotonic()

    def addError(self, test, err):
        super().addError(test, err)
        self.fault = self.errors[-1][1]
        if not hasattr(test, "_testMethodName"):  # A fixture of the class: no test ran.
            tell(name=str(test), ok=False, seconds=0, fault=self.fault)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fault = self.failures[-1][1]

    def stopTest(self, test):
        super().stopTest(test)
        seconds = time.monotonic() - self.started
        tell(name=test._testMethodName, ok=self.fault is None, seconds=seconds, fault=self.fault)


def run(*_args, **_kwargs):
    tests = sys.modules["__main__"].Test
    if mode == "list":
        for name in unittest.TestLoader().getTestCaseNames(tests):
            tell(name=name)
    else:
        unittest.TestSuite(tests(name) for name in names).run(Result())


unittest.main = run
sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
sys.argv = [script, "--hostname", host, "--port", port]
runpy.run_path(script, run_name="__main__")
