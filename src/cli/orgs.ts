import { existsSync } from 'node:fs'
import { Command, Option } from 'commander'
import { readProfile } from '#flaps-client'
import { ACCOUNTS_FOLDER, operatorCall, withAccounts } from './accounts-folder.ts'
import { type ConnectionOptions, connect, withConnection } from './api/connection.ts'
import { membersCommand } from './members.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

interface Options extends ConnectionOptions {
  readonly accounts?: string
  readonly json?: true
}

/** As both the API and the database have it. */
interface Shown {
  readonly slug: string
  readonly name: string
  readonly id: number
  readonly operators: boolean
}

interface Answered {
  readonly slug: string
  readonly name: string
  readonly internal_numeric_id: number
  readonly operators: boolean
}

const path = (slug = '') => `/v1/orgs${slug === '' ? '' : `/${encodeURIComponent(slug)}`}`

/** `godwit orgs`: through the API where one is known, else on the database of this gateway. */
export function orgsCommand(print: Print = (text) => void process.stdout.write(text)): Command {
  return new Command('orgs')
    .summary('organisations')
    .addCommand(membersCommand(print))
    .addCommand(listCommand(print))
    .addCommand(showCommand(print))
    .addCommand(createCommand(print))
    .addCommand(deleteCommand(print))
}

const onEither = (name: string, summary: string, example: string) =>
  withConnection(
    new Command(name)
      .summary(summary)
      .description(
        `${summary[0]?.toUpperCase()}${summary.slice(1)}. Asks the API, where one is known; with --accounts, or where none is, works on the ` +
          'database of this gateway.',
      )
      .addOption(
        new Option(
          '--accounts <folder>',
          `where accounts.db and key-ring are, as ${ACCOUNTS_FOLDER}`,
        ).env('GODWIT_ACCOUNTS'),
      )
      .option('--json', 'print JSON'),
  ).addHelpText('after', `\nExamples:\n  $ godwit ${example}`)

function listCommand(print: Print): Command {
  return onEither('list', 'show the organisations', 'orgs list').action(
    async (options: Options) => {
      const folder = folderOf(options)
      const orgs = folder === undefined ? await listOverApi(options) : listIn(folder)
      if (options.json) return print(jsonLine(orgs))
      const rows = orgs.map(({ id, slug, name, operators }) => [
        ...[String(id), slug, JSON.stringify(name), operators ? 'operators' : ''],
      ])
      print(renderTable([['ID', 'SLUG', 'NAME', ''], ...rows]))
    },
  )
}

function showCommand(print: Print): Command {
  return onEither('show', 'an organisation, and how many apps it has', 'orgs show acme')
    .argument('<slug>')
    .action(async (slug: string, options: Options) => {
      const folder = folderOf(options)
      const shown = folder === undefined ? await showOverApi(slug, options) : showIn(folder, slug)
      if (options.json) return print(jsonLine(shown))
      const { id, name, apps } = shown
      print(`${slug}, id ${id}, ${JSON.stringify(name)}: ${apps} apps\n`)
    })
}

function createCommand(print: Print): Command {
  return onEither('create', 'make an organisation', 'orgs create acme --name "Acme Ltd"')
    .argument('<slug>')
    .option('--name <name>', 'as people read it')
    .option('--operators', 'its tokens manage organisations; at the gateway alone')
    .action(async (slug: string, options: Options & { name?: string; operators?: true }) => {
      const { name, operators, json } = options
      const folder = operators === true ? (options.accounts ?? ACCOUNTS_FOLDER) : folderOf(options)
      const input = { slug, ...(name === undefined ? {} : { name }) }
      if (folder === undefined) {
        using client = await connect(options)
        const made: { organization: Answered; token: string } = await client.call('POST', path(), {
          body: input,
        })
        const org = { ...shownOf(made.organization), token: made.token }
        return print(
          json
            ? jsonLine(org)
            : `made ${slug}, id ${org.id}; its token, shown once:\n${org.token}\n`,
        )
      }
      const org = withAccounts(folder, (accounts) =>
        accounts.createOrganization(operatorCall(), { ...input, isOperator: operators === true }),
      )
      const next = `godwit tokens create org --org ${slug}`
      print(json ? jsonLine(org) : `made ${org.slug}, id ${org.id}\nnext: ${next}\n`)
    })
}

function deleteCommand(print: Print): Command {
  return onEither('delete', 'remove an organisation that has no apps', 'orgs delete acme --yes')
    .argument('<slug>')
    .option('-y, --yes', 'do not ask')
    .action(async (slug: string, options: Options & { yes?: true }) => {
      const { confirmed } = await import('./api/confirm.ts')
      await confirmed(`remove ${slug}, and end all its tokens?`, options.yes === true)
      const folder = folderOf(options)
      if (folder === undefined) {
        using client = await connect(options)
        await client.call('DELETE', path(slug))
      } else {
        withAccounts(folder, (accounts) =>
          accounts.deleteOrganization(operatorCall(), { organization: slug }),
        )
      }
      print(options.json ? jsonLine({ slug, deleted: true }) : `${slug} is removed\n`)
    })
}

/** Undefined: the API is asked. */
function folderOf({ accounts, api }: Options): string | undefined {
  if (accounts !== undefined) return accounts
  const isApiKnown = api !== undefined || readProfile() !== undefined
  return !isApiKnown && existsSync(ACCOUNTS_FOLDER) ? ACCOUNTS_FOLDER : undefined
}

async function listOverApi(options: Options): Promise<Shown[]> {
  using client = await connect(options)
  const { organizations }: { organizations: Answered[] } = await client.call('GET', path())
  return organizations.map(shownOf)
}

async function showOverApi(slug: string, options: Options): Promise<Shown & { apps: number }> {
  using client = await connect(options)
  const shown: { organization: Answered; app_count: number } = await client.call('GET', path(slug))
  return { ...shownOf(shown.organization), apps: shown.app_count }
}

const listIn = (folder: string): Shown[] =>
  withAccounts(folder, (accounts) =>
    accounts
      .organizations()
      .map(({ id, slug, name, isOperator }) => ({ id, slug, name, operators: isOperator })),
  )

function showIn(folder: string, slug: string): Shown & { apps: number } {
  return withAccounts(folder, (accounts) => {
    const apps = accounts.apps(slug).length // throws when there is no such organisation
    const { id = 0, name = '', isOperator = false } = accounts.organization(slug) ?? {}
    return { id, slug, name, operators: isOperator, apps }
  })
}

const shownOf = ({ slug, name, internal_numeric_id: id, operators }: Answered): Shown => ({
  ...{ id, slug, name, operators },
})

const jsonLine = (value: unknown) => `${JSON.stringify(value)}\n`
