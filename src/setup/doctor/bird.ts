import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** Speaks every protocol of the planet's routers, in the grammar of BIRD 2. */
const TRIAL_CONFIG = `router id 192.0.2.1;
protocol device {}
protocol static { ipv4; route 198.51.100.0/24 unreachable; }
protocol kernel { ipv4 { export all; }; }
protocol bgp { local 192.0.2.1 as 64500; neighbor 192.0.2.2 as 64501; ipv4 { import all; export all; }; }
`

export const bird: Probe = {
  name: 'BIRD',
  required: true,
  needsRoot: false,
  deadlineMs: 5_000,
  async examine({ run, scratchFolder }) {
    const said = await run('bird', ['--version'])
    const version = /version (\d+)\.[\w.]+/.exec(said.stderr + said.stdout)
    const config = join(scratchFolder, 'bird.conf')
    await writeFile(config, TRIAL_CONFIG)
    const parsed = await run('bird', ['-p', '-c', config])
    const works = parsed.exitCode === 0 && Number(version?.[1]) >= 2
    if (works) return { state: 'ok', detail: `BIRD ${version?.[0].replace('version ', '')}` }
    return {
      state: 'missing',
      detail: lastLine(parsed.stderr) ?? `BIRD ${version?.[0] ?? 'of unknown version'}`,
      consequence: 'no planet: BIRD routes its internet and announces the anycast addresses',
      fix: 'install BIRD 2 (Debian: bird2)',
    }
  },
}
