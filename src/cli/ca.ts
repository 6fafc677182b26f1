import { Command } from 'commander'
import { systemClock } from '#base'

const CA_FOLDER = '/var/lib/godwit/ca'

/** `godwit ca`: the authority that signs certificates of a planet or a trial installation. */
export function caCommand(): Command {
  return new Command('ca')
    .summary('the local certificate authority')
    .description(
      'Prints the certificate (PEM) that clients must trust to accept what this installation signs itself. Made when there is none; the private key stays in its folder.',
    )
    .option('--folder <path>', 'where it is kept', CA_FOLDER)
    .option('--json', 'print JSON: the certificate and its file')
    .action(async ({ folder, json }: { folder: string; json?: boolean }) => {
      const { openLocalAuthority } = await import('#proxy')
      const { chain } = await openLocalAuthority(folder, systemClock.nowMs())
      const file = `${folder}/ca.pem`
      process.stdout.write(json ? `${JSON.stringify({ certificate: chain, file })}\n` : chain)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit ca > godwit-ca.pem
  $ godwit ca | sudo tee /usr/local/share/ca-certificates/godwit.crt && sudo update-ca-certificates
  $ curl --cacert <(godwit ca) https://my-app.example.com/`,
    )
}
