export const UNIT_NAME = 'godwit.service'

/**
 * The systemd unit of a host. `KillMode=process`: only the supervisor is told to end, and ends its parts itself;
 * machines run on, also over an upgrade. Source: systemd.service(5), systemd.kill(5), systemd.resource-control(5).
 *
 * @param godwit path of bin/godwit
 */
export const systemdUnit = (godwit: string, config: string): string => `[Unit]
Description=Godwit: the daemons of this host
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=${quoted(godwit)} host run --config ${quoted(config)}
Restart=always
RestartSec=2
KillMode=process
TimeoutStopSec=90
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`

/** Source: systemd.syntax(7), quoting; `%` begins a specifier, `$` a variable. */
const quoted = (text: string) =>
  `"${text.replace(/["\\]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`
