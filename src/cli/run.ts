import { Command } from 'commander'
import type { LocalExit, LocalMachines, LocalRecord } from '#local'
import { acceleratorFor } from './accelerator.ts'
import { joinStreams, terminalSize } from './attached-terminal.ts'
import { type RunFlags, requestOf, runOptions, stateDirOption } from './local-options.ts'
import { ProgressView } from './progress.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const SIGNAL_EXIT_BASE = 128

/** `godwit run`: an image as a machine on this computer, without any daemon. */
export function runCommand(): Command {
  const command = new Command('run')
    .summary('run an image as a machine on this computer')
    .description(
      'Pulls an image, makes a machine of it and runs it here, without any daemon. The exit code is the ' +
        "command's. `godwit local` lists, stops and looks into such machines; docs/guest.md says what happens.",
    )
    .argument(
      '<image>',
      'debian:12, host:5000/app@sha256:..., oci:FOLDER:NAME, docker-archive:FILE',
    )
    .argument('[command...]', "arguments, instead of the image's")
    .passThroughOptions()
    .addOption(stateDirOption())
  for (const option of runOptions()) command.addOption(option)
  return command.action(run).addHelpText(
    'after',
    `
Examples:
  $ godwit run --rm -it debian:12 bash
  $ godwit run -d --name web -p 8080:80 -v data:/data -m 512mb nginx
  $ godwit run --rm -e GREETING=hello --network none busybox -- sh -c 'echo $GREETING'
  $ godwit run --rm oci:./layout:v1
  $ godwit local exec -t web sh
  $ godwit local logs -f web`,
  )
}

async function run(image: string, words: string[], flags: RunFlags & { stateDir: string }) {
  const { LocalMachines } = await import('#local')
  const size = flags.tty ? terminalSize() : undefined
  const request = requestOf(image, words[0] === '--' ? words.slice(1) : words, flags, size)
  const interrupt = interruption()
  const progress = new ProgressView()
  const view = {
    onPull: progress.step('pull'),
    onUnpack: progress.step('unpack'),
    onWait: () => progress.note('waiting for another godwit that prepares an image'),
  }
  const machines = await LocalMachines.open(flags.stateDir)
  const { signal } = interrupt
  const record = await acceleratorFor(request.runtime, signal)
    .then((accelerator) => machines.run(request, { view, signal, accelerator }))
    .finally(() => progress.end())
  interrupt.release()
  if (flags.detach) printStarted(record, flags.json === true)
  else
    await stay(machines, record, {
      isTty: size !== undefined,
      takesInput: size !== undefined || flags.interactive === true,
      isUnwanted: interrupt.signal.aborted,
    })
}

function printStarted(record: LocalRecord, isJson: boolean): void {
  const { id, name, image, ports } = record
  process.stdout.write(isJson ? `${JSON.stringify({ id, name, image, ports })}\n` : `${id}\n`)
}

interface StayOptions {
  readonly isTty: boolean
  readonly takesInput: boolean
  /** The command line was told to end while the machine was prepared. */
  readonly isUnwanted: boolean
}

/** Shows its output until it ends. The first signal asks it to stop, the second kills it. */
async function stay(
  machines: LocalMachines,
  record: LocalRecord,
  { isTty, takesInput, isUnwanted }: StayOptions,
): Promise<void> {
  const size = terminalSize()
  using call = await machines.call(record, {
    op: 'attach',
    ...(isTty && size !== undefined ? { size } : {}),
  })
  let signals = 0
  const onSignal = () => {
    signals += 1
    const request = signals === 1 ? ({ op: 'stop' } as const) : ({ op: 'kill' } as const)
    machines
      .call(record, request)
      .then((asked) => asked.ended())
      .catch(() => undefined) // it ends anyway: the attached call tells how
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  if (isUnwanted) return // a bound machine that nobody is attached to is stopped
  try {
    const exit = await joinStreams(call, { isTty, takesInput })
    tellExit(exit, record)
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

export function tellExit({ code, isOutOfMemory, error }: LocalExit, { config }: LocalRecord): void {
  process.exitCode = code
  if (isOutOfMemory) {
    const hint = `fix: give it more than ${config.memoryMib} MiB: --memory\n`
    process.stderr.write(`error: the machine ran out of memory\n${hint}`)
  } else if (error !== undefined) {
    process.stderr.write(`error: ${error}\n`)
  }
}

/** Ctrl-C before the machine runs ends its preparation, which leaves nothing. */
function interruption() {
  const controller = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    const number = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal as (typeof SIGNALS)[number]]
    process.exitCode = SIGNAL_EXIT_BASE + number
    controller.abort(new Error('interrupted'))
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  const release = () => {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  return { signal: controller.signal, release }
}
