import { spawn } from 'node:child_process'
import type { Command } from 'commander'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'

/** `open`, `apps open`: an app in the browser. */
export function openCommand(
  print: Print = printOut,
  browse: (url: string) => void = browseTo,
): Command {
  return appCommand('open', 'show where an app is reached, and open it in a browser', [
    'open -a web',
    'open /login -a web',
  ])
    .description(
      'Prints where an app is reached: at the first of its own host names that leads here, else at its address. On a ' +
        'terminal it is opened in a browser, too.',
    )
    .argument('[path]', 'of the page', '/')
    .action((path: string, options: AppCommandOptions) =>
      withApp(options, async (session) => {
        const { href: url } = new URL(path, await baseOf(session))
        print(options.json ? `${JSON.stringify({ url })}\n` : `${url}\n`)
        if (process.stdout.isTTY && !options.json) browse(url)
      }),
    )
}

/** @throws ApiInputError cli.failed: nothing leads to it */
async function baseOf({ client, app }: AppSession): Promise<string> {
  const certificates = await client.certificates(app).list()
  const named = certificates.find(({ status, configured }) => configured ?? status === 'active')
  if (named !== undefined && !named.hostname.includes('*')) return `https://${named.hostname}`
  const ips = await client.addresses(app).list()
  const own = ips.find(({ ip, shared }) => !shared && !/^f[cd]/i.test(ip))
  if (own !== undefined) return `http://${own.ip.includes(':') ? `[${own.ip}]` : own.ip}`
  throw new ApiInputError('cli.failed', {
    what: 'this app has neither a host name of its own that leads here nor an address of its own',
    values: { app },
    fix: 'add one: `godwit certs add HOSTNAME` or `godwit ips allocate-v6`; its name on the platform is APP.DOMAIN, with app_domain of the host files',
  })
}

/** Whatever becomes of the browser: the address is printed. */
function browseTo(url: string): void {
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const child = spawn(opener, [url], { stdio: 'ignore', detached: true })
  child.once('error', () => undefined)
  child.unref()
}
