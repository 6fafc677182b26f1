import assert from 'node:assert/strict'
import test from 'node:test'
import { GodwitError, systemClock } from '#base'
import { mint, openVerifier, parseBundle, printMacaroon, verifyBundle } from '#macaroon'
import type { TokensIo } from './token-input.ts'
import { tokensCommand } from './tokens.ts'

const key = Buffer.alloc(32, 0x11)
const LOCATION = 'https://api.fly.io/v1'
const token = printMacaroon(
  mint({
    key,
    kid: Buffer.of(1),
    location: LOCATION,
    caveats: [
      { type: 'Organization', body: { id: 2n ** 60n, mask: 31 } },
      { type: 'ValidityWindow', body: { notBefore: 0, notAfter: 1_700_000_000 } },
    ],
  }),
)

interface World {
  readonly stdin?: string
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

async function run(args: string[], { stdin = '', files = {}, env = {} }: World = {}) {
  const printed: string[] = []
  const io: TokensIo = {
    stdin: (async function* () {
      yield stdin
    })(),
    env,
    readFile(path) {
      const text = files[path]
      if (text === undefined) throw new Error(`ENOENT: ${path}`)
      return text
    },
    print: (text) => void printed.push(text),
    nowMs: () => 1_600_000_000_000,
  }
  await tokensCommand(io).parseAsync(args, { from: 'user' })
  return printed.join('')
}

const code = (expected: string) => (error: unknown) =>
  error instanceof GodwitError && error.code === expected

const keyFile = { 'key.txt': `${key.toString('base64')}\n` }

test('a token is taken from the argument, from standard input and from a file alike', async () => {
  const fromArgument = await run(['inspect', token, '--json'])
  assert.equal(await run(['inspect', '-', '--json'], { stdin: `FlyV1 ${token}\n` }), fromArgument)
  const files = { 't.txt': token }
  assert.equal(await run(['inspect', '--token-file', 't.txt', '--json'], { files }), fromArgument)
  const [summary] = JSON.parse(fromArgument)
  assert.equal(summary.location, LOCATION)
  assert.equal(summary.caveats[0].type, 'Organization')
  assert.match(fromArgument, /1152921504606846976/)
})

test('what a token says cannot steer the terminal', async () => {
  const hostile = mint({ key, kid: Buffer.of(1), location: '\u001b[2J\u202e\u009b' })
  const shown = await run(['inspect', printMacaroon(hostile)])
  assert.match(shown, /\\u\{1b\}\[2J\\u\{202e\}\\u\{9b\}/)
  assert.doesNotMatch(shown.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
})

test('attenuating prints a narrower token that still verifies', async () => {
  const caveats = '[{"type":"Action","body":"r"}]'
  const printed = await run(['attenuate', token, '-c', caveats])
  assert.match(printed, /^FlyV1 fm2_\S+\n$/)
  const { token: same } = JSON.parse(await run(['attenuate', token, '-c', caveats, '--json']))
  assert.equal(`${same}\n`, printed)
  const fromFile = await run(['attenuate', '-', '-f', 'c.json'], {
    stdin: token,
    files: { 'c.json': caveats },
  })
  assert.equal(fromFile, printed)
  const verifier = openVerifier({ keyFor: () => key, clock: systemClock })
  const { verdicts } = verifyBundle(parseBundle(printed), verifier)
  assert.equal(verdicts[0]?.verdict.verified, true)
})

test('verifying says what is genuine, and an access that is not allowed is an error', async () => {
  const files = keyFile
  const verify = (...more: string[]) =>
    run(['verify', token, '--key-file', 'key.txt', ...more], { files })
  assert.match(await verify(), /genuine/)
  const access = '{"orgid":1152921504606846976,"action":"w"}'
  assert.equal(JSON.parse(await verify('--access', access, '--json')).allowed, true)
  const late = ['--access', access, '--at', '2026-01-01T00:00:00Z']
  await assert.rejects(verify(...late), code('macaroon.denied'))
  await assert.rejects(verify('--access', '{"orgid":1}'), code('macaroon.denied'))
  await assert.rejects(verify('--at', 'noon'), code('tokens.time_bad'))
  const wrong = { 'key.txt': Buffer.alloc(32).toString('base64') }
  await assert.rejects(
    run(['verify', token, '--key-file', 'key.txt'], { files: wrong }),
    code('macaroon.unverified'),
  )
  const env = { GODWIT_TOKEN_KEY: key.toString('base64') }
  assert.match(await run(['verify', token], { env }), /genuine/)
})

test('inputs that are missing, double or unreadable are refused with a way out', async () => {
  const refusals: readonly (readonly [string[], string])[] = [
    [['inspect'], 'tokens.input_missing'],
    [['inspect', token, '--token-file', 't'], 'tokens.input_repeated'],
    [['inspect', '--token-file', 'nowhere'], 'tokens.input_unreadable'],
    [['attenuate', token], 'tokens.input_missing'],
    [['attenuate', token, '-c', '[]', '-f', 'c'], 'tokens.input_repeated'],
    [['attenuate', '-', '-f', '-'], 'tokens.input_repeated'],
    [['attenuate', 'fo1_x', '-c', '[]'], 'macaroon.permission_token_missing'],
    [['attenuate', token, '-c', '[{"type":"Nope","body":1}]'], 'macaroon.bad_caveat'],
    [['verify', token], 'tokens.input_missing'],
    [['verify', token, '--key-file', 'short'], 'tokens.key_bad'],
    [['inspect', '-'], 'tokens.input_too_long'],
  ]
  for (const [args, expected] of refusals) {
    const stdin = expected === 'tokens.input_too_long' ? 'x'.repeat(2 ** 21) : token
    await assert.rejects(run(args, { stdin, files: { short: 'AAAA' } }), code(expected), expected)
  }
})

test('each command shows examples in its help', () => {
  for (const command of tokensCommand().commands) {
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    assert.match(help, /Examples:\n {2}\$ godwit tokens/)
  }
})
