import { createInterface } from 'node:readline/promises'
import { ApiInputError } from './input-error.ts'

/**
 * Asks before something that cannot be undone, or is felt. Without a terminal nobody is asked, and it is refused.
 *
 * @throws ApiInputError cli.failed
 */
export async function confirmed(
  question: string,
  isYes: boolean,
  stakes = 'this cannot be undone',
): Promise<void> {
  if (isYes) return
  if (!process.stdin.isTTY) {
    throw new ApiInputError('cli.failed', {
      what: `${stakes}, and nobody is there to ask`,
      fix: 'give --yes',
    })
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question(`${question} [y/N] `)
    if (/^y(es)?$/i.test(answer.trim())) return
  } finally {
    asking.close()
  }
  throw new ApiInputError('cli.failed', { what: 'nothing was done' })
}
