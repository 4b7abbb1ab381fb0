// A vitest reporter: names each test that failed at first and passed on a retry, which the reporter `default` does not.
export default class Retries {
  onTestCaseResult(testCase) {
    const { retryCount = 0 } = testCase.diagnostic() ?? {};
    if (retryCount > 0 && testCase.result().state === 'passed') {
      console.log(`passed at a second try: ${testCase.module.relativeModuleId} > ${testCase.fullName}`);
    }
  }
}
