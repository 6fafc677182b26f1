import { Command } from 'commander'
import type { KeptImage } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { confirmed } from './confirm.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { ago } from './machine-table.ts'

/** `godwit images`: what deploys from files brought to the gateway. */
export function imagesCommand(print: Print = printOut): Command {
  return new Command('images')
    .summary('images that were deployed from files, as the gateway has them')
    .addCommand(
      appCommand('list', 'show the images of an app that the gateway has', ['images list -a web'])
        .alias('ls')
        .action((options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            const images = await client.images(app).list()
            if (options.json) return print(`${JSON.stringify(images)}\n`)
            if (images.length === 0) return print(`the gateway has no images of ${app}\n`)
            print(imageTable(images))
          }),
        ),
    )
    .addCommand(
      appCommand('delete', 'delete images of an app that nothing uses', [
        'images delete sha256:4f53cda18c2b -a web --yes',
        'images delete --unused -a web --yes',
      ])
        .alias('destroy')
        .argument('[digest...]', 'the first digits are enough')
        .option('--unused', 'all that neither a machine nor the current release uses')
        .option('-y, --yes', 'do not ask')
        .action((digests: string[], options: AppCommandOptions & DeleteOptions) =>
          withApp(options, async ({ client, app }) => {
            const going = chosen(await client.images(app).list(), digests, options)
            if (going.length > 0) {
              const names = going.map(({ digest }) => short(digest)).join(', ')
              await confirmed(`delete ${names} of ${app}?`, options.yes === true)
            }
            for (const { digest } of going) {
              await client.images(app).remove(digest)
              if (!options.json) print(`${digest} is deleted\n`)
            }
            if (options.json) print(`${JSON.stringify(going.map(({ digest }) => digest))}\n`)
            else if (going.length === 0) print('nothing is to be deleted\n')
          }),
        ),
    )
}

interface DeleteOptions {
  readonly unused?: boolean
  readonly yes?: boolean
}

/** @throws ApiInputError cli.bad_value */
function chosen(
  images: readonly KeptImage[],
  digests: readonly string[],
  { unused = false }: DeleteOptions,
): readonly KeptImage[] {
  if (unused === digests.length > 0) {
    throw new ApiInputError('cli.bad_value', {
      what: 'say which images, in one way',
      fix: 'give digests, or --unused',
    })
  }
  if (unused) return images.filter(({ used_by: user }) => user === null)
  return digests.map((text) => {
    const wanted = text.includes(':') ? text : `sha256:${text}`
    const [image, other] = images.filter(({ digest }) => digest.startsWith(wanted))
    if (image !== undefined && other === undefined) return image
    throw new ApiInputError('cli.bad_value', {
      what: image === undefined ? 'the gateway has no such image' : 'more than one image begins so',
      values: { digest: text },
      fix: 'see them with: godwit images list',
    })
  })
}

const MB = 1e6

const imageTable = (images: readonly KeptImage[]): string =>
  renderTable([
    ['DIGEST', 'SIZE', 'BROUGHT', 'USED BY'],
    ...images.map(({ digest, bytes, created_at: at, used_by: user }) => [
      short(digest),
      `${(bytes / MB).toFixed(1)}MB`,
      ago(at),
      user ?? '',
    ]),
  ])

/** As much of it as nobody confuses. */
const short = (digest: string) => digest.slice(0, 'sha256:'.length + 12)
