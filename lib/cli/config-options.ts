import type { OptionSpec } from './command.js';

/** Options of every command that reads the configuration. */
export const CONFIG_OPTIONS: readonly OptionSpec[] = [
  { long: 'config', values: ['FILE'], description: 'YAML configuration file. Without it no file is read.' },
  {
    long: 'data-dir',
    values: ['DIR'],
    key: 'dataDir',
    description: 'Folder of the gateway (default ./sprawl-edge-data).',
  },
  {
    long: 'listen',
    values: ['HOST'],
    key: 'listeners.host',
    description:
      'Address for MQTT clients (default 127.0.0.1: this machine only; 0.0.0.0: every network). Of the TLS listeners too, unless listeners.tls.host is set.',
  },
  {
    long: 'mqtt-port',
    values: ['PORT'],
    key: 'listeners.mqttPort',
    description: 'MQTT over TCP (default 1883). For every port: 0 is any free one, false is off.',
  },
  {
    long: 'ws-port',
    values: ['PORT'],
    key: 'listeners.wsPort',
    description: 'MQTT over WebSocket, path /mqtt (default 8083).',
  },
  {
    long: 'http-port',
    values: ['PORT'],
    key: 'http.port',
    description: 'Health and metrics, on 127.0.0.1 (default 8880).',
  },
  {
    long: 'allow-anonymous',
    key: 'security.allowAnonymous',
    description: 'Let clients in without a user name (default only where nobody else can reach the gateway).',
  },
  {
    long: 'password-file',
    values: ['FILE'],
    key: 'security.passwordFile',
    description: 'Users and passwords, as written by "sprawl-edge passwd" or mosquitto_passwd.',
  },
  {
    long: 'acl-file',
    values: ['FILE'],
    key: 'security.aclFile',
    description: 'Who may use which topics, in the format of mosquitto.',
  },
  {
    long: 'site',
    values: ['NAME'],
    key: 'mesh.site',
    description: 'Name of this gateway in the lists of the others (default: the host name).',
  },
  {
    long: 'peer',
    values: ['HOST:PORT'],
    key: 'mesh.peers',
    description: 'Another gateway of the mesh to dial in any case. May be repeated.',
  },
  {
    long: 'bootstrap',
    values: ['HOST:PORT'],
    key: 'mesh.bootstrap',
    description:
      'Where the search for other gateways begins (default: the public nodes of HyperDHT); "none": nowhere. May be repeated.',
  },
  {
    long: 'log-level',
    values: ['LEVEL'],
    key: 'log.level',
    description: 'trace, debug, info, warn, error or silent (default info).',
  },
  {
    long: 'set',
    values: ['KEY=VALUE'],
    description: 'Set any key of docs/configuration.md, e.g. --set delivery.windowMax=20. May be repeated.',
  },
];
