import { stripVTControlCharacters } from 'node:util'
import type { Finding, ProbeState } from './probe.ts'
import type { DoctorReport } from './run.ts'

export interface TableOptions {
  readonly colour: boolean
}

const colours = { ok: 32, degraded: 33, missing: 31 } as const satisfies Record<ProbeState, number>

/** The report for people: one line a probe, then what to do about what is not ok. */
export function formatReport({ findings, ready }: DoctorReport, { colour }: TableOptions): string {
  const paint = (code: number, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text)
  const nameWidth = Math.max(0, ...findings.map(({ name }) => name.length))
  const stateWidth = 'degraded'.length
  const lines: string[] = []
  for (const { name, state, detail, consequence, fix, required } of findings) {
    const stateText = paint(colours[state], state) + ' '.repeat(stateWidth - state.length)
    lines.push(`${stateText}  ${name.padEnd(nameWidth)}  ${printable(detail)}`)
    if (state === 'ok') continue
    const indent = ' '.repeat(stateWidth + nameWidth + 4)
    if (consequence !== undefined) {
      lines.push(
        `${indent}${required && state === 'missing' ? 'required: ' : 'so: '}${consequence}`,
      )
    }
    if (fix !== undefined) lines.push(`${indent}fix: ${fix}`)
  }
  return `${lines.join('\n')}\n\n${summarise(findings, ready)}\n`
}

function summarise(findings: readonly Finding[], ready: boolean): string {
  const count = (state: ProbeState) => findings.filter((one) => one.state === state).length
  const counted = `${count('ok')} ok, ${count('degraded')} degraded, ${count('missing')} missing`
  if (ready) return `${counted}: godwit runs on this machine.`
  const needed = findings
    .filter(({ required, state }) => required && state === 'missing')
    .map(({ name }) => name)
  return `${counted}: godwit cannot run here without ${needed.join(', ')}.`
}

/** A detail may quote what a program said. */
const printable = (text: string) => stripVTControlCharacters(text).replace(/\s+/g, ' ')
