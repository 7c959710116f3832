/** The door of this folder. */
export { C, COUNTER_NAMES, type Counters, createCounters, definitionOf } from './counters.js';
export {
  createBusyShare,
  createEventLoopMonitor,
  type EventLoopLag,
  type EventLoopMonitor,
} from './event-loop.js';
export {
  createGaugeCollector,
  type GaugeCollector,
  type GaugeCollectorOptions,
  type GaugeSource,
} from './gauge-collector.js';
export { type GatewayView, GAUGE_NAMES, type GaugeName, GAUGES } from './gauges.js';
export { createProcessFigures, type ProcessFigures } from './process-figures.js';
export { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from './prometheus.js';
export type { MeshSummary } from './mesh-summary.js';
export { type GatewayStatus, statusOf } from './status.js';
export { createSysTopics, SYS_TOPICS, type SysTopics, type SysTopicsOptions } from './sys-topics.js';
