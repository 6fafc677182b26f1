import { Command } from 'commander'
import { operatorCall, showTime, withAccounts } from './accounts-folder.ts'
import { jsonLine, onAccounts } from './on-accounts.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

interface Common {
  readonly accounts: string
  readonly json?: true
}

/** `godwit orgs members`: who is let into an organisation by logging in. */
export function membersCommand(print: Print): Command {
  return new Command('members')
    .summary('people of an organisation')
    .addCommand(
      onAccounts('list', 'show them', 'orgs members list --org acme')
        .requiredOption('--org <slug>', 'whose')
        .action(({ accounts: folder, org, json }: Common & { org: string }) => {
          const members = withAccounts(folder, (accounts) => accounts.members(org))
          if (json) return print(jsonLine(members))
          print(
            renderTable([['EMAIL', 'ROLE'], ...members.map(({ email, role }) => [email, role])]),
          )
        }),
    )
    .addCommand(
      onAccounts('add', 'make somebody one', 'orgs members add ada@example.com --org acme')
        .argument('<email>')
        .requiredOption('--org <slug>', 'of which organisation')
        .option('--role <role>', 'member, or admin, who may make other organisations', 'member')
        .action((email: string, options: Common & { org: string; role: string }) => {
          const { accounts: folder, org, role, json } = options
          const made = withAccounts(folder, (accounts) =>
            accounts.addMember(operatorCall(), {
              ...{ organization: org, email, role: role as 'member' | 'admin' },
            }),
          )
          print(json ? jsonLine(made) : `${made.email} is ${made.role} of ${org}\n`)
        }),
    )
    .addCommand(
      onAccounts(
        'remove',
        'take somebody out; the tokens that they got there by logging in are revoked',
        'orgs members remove ada@example.com --org acme',
      )
        .argument('<email>')
        .requiredOption('--org <slug>', 'of which organisation')
        .action((email: string, { accounts: folder, org, json }: Common & { org: string }) => {
          withAccounts(folder, (accounts) =>
            accounts.removeMember(operatorCall(), { organization: org, email }),
          )
          print(json ? jsonLine({ email, org }) : `${email} is no member of ${org} any more\n`)
        }),
    )
}

/** `godwit accounts logins`: who waits to be let in. */
export const loginsCommand = (print: Print): Command =>
  onAccounts('logins', 'show the logins that wait to be confirmed', 'accounts logins').action(
    ({ accounts: folder, json }: Common) => {
      const logins = withAccounts(folder, (accounts) => accounts.logins())
      if (json) return print(jsonLine(logins))
      const rows = logins.map(({ code, name, isConfirmed, untilMs }) => [
        ...[code, JSON.stringify(name), isConfirmed ? 'yes' : 'no', showTime(untilMs)],
      ])
      print(renderTable([['CODE', 'CLIENT', 'CONFIRMED', 'UNTIL'], ...rows]))
    },
  )

/** `godwit accounts confirm-login`. */
export const confirmLoginCommand = (print: Print): Command =>
  onAccounts(
    'confirm-login',
    'let a client in as somebody: it gets a token of each of their organisations for 30 days',
    'accounts confirm-login BCDF-2345 --email ada@example.com',
  )
    .argument('<code>', 'as the page of the login shows it to them')
    .requiredOption('--email <email>', 'who they are: a member of an organisation')
    .action((code: string, { accounts: folder, email, json }: Common & { email: string }) => {
      withAccounts(folder, (accounts) => accounts.confirmLogin(operatorCall(), { code, email }))
      print(json ? jsonLine({ code, email }) : `the client of ${code} is let in as ${email}\n`)
    })
