import type { Command } from 'commander'

export interface CorrosionOptions {
  readonly config: string
  readonly apiAddr?: string
  readonly adminPath?: string
  readonly dbPath?: string
}

/** Where an agent is reached: what the command line says, else its configuration file. */
export async function agentPlaces(command: Command): Promise<{
  readonly apiUrl: () => string
  readonly bearerToken: () => string | undefined
  readonly adminPath: () => string
  readonly dbPath: () => string
}> {
  const { loadAgentConfig } = await import('#corrosion')
  const options = command.optsWithGlobals<CorrosionOptions>()
  let loaded: ReturnType<typeof loadAgentConfig> | undefined
  const config = () => {
    loaded ??= loadAgentConfig(options.config)
    return loaded
  }
  return {
    apiUrl: () => `http://${options.apiAddr ?? config().api.bind_addr}`,
    bearerToken: () => {
      const given = process.env['GODWIT_CORROSION_TOKEN']
      if (given !== undefined || options.apiAddr !== undefined) return given
      return config().api.authorization?.['bearer-token']
    },
    adminPath: () => options.adminPath ?? config().admin.uds_path,
    dbPath: () => options.dbPath ?? config().db.path,
  }
}
