export type Target = 'gateway' | 'mosquitto';

/** Which broker the suite runs against; see server.ts. */
export const target: Target = process.env['SPRAWL_TEST_TARGET'] === 'mosquitto' ? 'mosquitto' : 'gateway';
