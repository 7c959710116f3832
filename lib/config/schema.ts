import { z } from 'zod';
import { note } from './field.js';
import { archiveSchema } from './schema-archive.js';
import { httpSchema, listenersSchema, mqttSchema, securitySchema } from './schema-access.js';
import { deliverySchema, limitsSchema, logSchema, shutdownSchema, sysSchema } from './schema-flow.js';
import { meshSchema } from './schema-mesh.js';
import { storageSchema } from './schema-storage.js';

/** Every key of the configuration, before defaults that depend on the machine are filled in. */
export const configSchema = z.strictObject({
  dataDir: z
    .string()
    .min(1)
    .default('./sprawl-edge-data')
    .meta(
      note({
        description:
          'Folder of the gateway: everything that has to survive a restart. One process at a time can use it.',
      }),
    ),
  listeners: listenersSchema.prefault({}).meta({ description: 'Where MQTT clients connect.' }),
  http: httpSchema.prefault({}).meta({ description: 'Health and metrics.' }),
  security: securitySchema.prefault({}).meta({ description: 'Who may connect and what they may do.' }),
  mqtt: mqttSchema.prefault({}).meta({ description: 'What a client may send and ask for.' }),
  delivery: deliverySchema.prefault({}).meta({ description: 'How messages wait for their subscribers.' }),
  storage: storageSchema.prefault({}).meta({ description: 'What survives, and how it is written.' }),
  mesh: meshSchema.prefault({}).meta({
    description: 'Other gateways: where they are met, and what goes over the links to them.',
  }),
  archive: archiveSchema.prefault({}).meta({
    description: 'Messages for good: files that DuckDB, Athena, Spark and pandas read, in a folder or in S3.',
  }),
  limits: limitsSchema.prefault({}).meta({ description: 'What all clients together may cost.' }),
  sys: sysSchema.prefault({}).meta({ description: 'The `$SYS/broker` topics.' }),
  log: logSchema.prefault({}).meta({ description: 'Log lines, on standard error.' }),
  shutdown: shutdownSchema.prefault({}).meta({ description: 'How the gateway stops.' }),
});

/** What the schema alone makes of its input; `Config` is this with every default filled in. */
export type SchemaOutput = z.output<typeof configSchema>;
