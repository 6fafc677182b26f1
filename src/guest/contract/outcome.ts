import assert from 'node:assert/strict'
import { pollUntil } from '#base'
import type { Agent } from '../agent/agent.ts'
import type { EntrypointState } from '../agent/answers.ts'
import { STATE_MS } from './bench.ts'

export const isOver = ({ phase }: EntrypointState) => phase === 'exited' || phase === 'failed'

/** All that the entrypoint said, and how it ended. */
export async function outcome(agent: Agent) {
  const [stdout, state] = await Promise.all([
    readUntilEnd(agent),
    agent.waitForEntrypoint(isOver, { deadlineMs: STATE_MS }),
  ])
  assert.ok(state.phase === 'exited' || state.phase === 'failed')
  return { stdout, state, ending: state.ending }
}

/** The entrypoint's output goes on over runs, so it is read until the state says that a run is over. */
async function readUntilEnd(agent: Agent): Promise<string> {
  const pieces: Buffer[] = []
  const take = (bytes: Buffer) => void pieces.push(bytes)
  agent.stdout.on('data', take)
  agent.stderr.resume()
  await agent.waitForEntrypoint(isOver, { deadlineMs: STATE_MS })
  await pollUntil('the output to be read', () => agent.isOutputRead, {
    deadlineMs: STATE_MS,
  })
  agent.stdout.off('data', take)
  return Buffer.concat(pieces).toString()
}
