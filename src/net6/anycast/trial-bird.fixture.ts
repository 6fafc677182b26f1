/** BIRD on a trial host: ends with it. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pollUntil } from '#base'
import { BirdControl } from '#bird'
import type { TrialHost } from '../trial-host.fixture.ts'

export interface TrialBird {
  readonly bird: BirdControl
  readonly configPath: string
  end(): Promise<void>
  restart(): Promise<TrialBird>
}

/** @param config the text of its configuration file */
export async function startBird(host: TrialHost, config: string): Promise<TrialBird> {
  const [configPath, socket] = [join(host.folder, 'bird.conf'), join(host.folder, 'bird.ctl')]
  writeFileSync(configPath, config)
  const [command = '', ...enter] = host.system.enter
  const child = spawn(command, [...enter, 'bird', '-f', '-c', configPath, '-s', socket], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = new Promise((done) => child.once('close', done))
  const end = async () => {
    await bird.command('down')
    await ended
  }
  const bird = new BirdControl(socket)
  const answers = () =>
    bird.protocols().then(
      () => true,
      () => false,
    )
  await pollUntil('BIRD', answers, { deadlineMs: 30_000 })
  return { bird, configPath, end, restart: () => startBird(host, config) }
}
