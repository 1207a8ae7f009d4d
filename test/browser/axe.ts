/** Asks axe-core what is wrong with a page for those who cannot see it or use a mouse. */
import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** The serious and critical faults of the page as it is now, one line for each place. */
export async function serious(page: Page): Promise<string[]> {
  await page.evaluate(axe.source); // through the debugger: the page's CSP lets no foreign script in
  const { violations } = await page.evaluate<AxeResults>(
    "axe.run(document, { resultTypes: ['violations'] })",
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html} ${failureSummary ?? ''}`),
    );
}
