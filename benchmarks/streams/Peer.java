import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.bouncycastle.math.ec.rfc8032.Ed25519;

/**
 * Kafka Streams, exactly once, with the registrar's cryptography and none of its rules.
 *
 * For each event of the outboxes: check the digests of attributes and data, verify the sender's Ed25519 signature, number the
 * event of its case in a state store, chain it to the case's last one; write a registration, and deliveries. Registrations and
 * deliveries of a transaction are leaves of a Merkle tree whose root is signed once; each carries its path.
 *
 * The signatures are Bouncy Castle's: the JDK's own take four times as long.
 *
 * Arguments: bootstrap, application id, folder for the state, file of senders' keys (kid, a blank, the key in base64), history,
 * inbox, deliveries for an event, bytes that a registration adds, bytes that a delivery adds, and the outboxes.
 */
public final class Peer {
    static final int TRANSACTION_MS = 900_000;
    static final Duration TICK = Duration.ofMillis(100);
    static final List<String> CORE = List.of("ce_id", "ce_source", "ce_specversion", "ce_type", "content-type", "ce_dataschema", "ce_subject", "ce_time");
    static final List<String> EXTENSIONS = List.of(
        "recordedtime", "sequence", "actor", "approver", "policy", "legalbasis", "consent", "referral", "incident", "correlationid",
        "causationid", "expectedversion", "dataclassification", "sealeddigest", "traceparent");
    static final byte[] FILLING = " ".repeat(4096).getBytes(StandardCharsets.US_ASCII);

    public static void main(String[] given) throws Exception {
        Map<String, Ed25519.PublicPoint> keys = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(given[3]))) {
            String[] parts = line.split(" ");
            keys.put(parts[0], Ed25519.validatePublicKeyPartialExport(Base64.getDecoder().decode(parts[1]), 0));
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, given[1]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, given[2]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        // Only the processor asks for a commit, after it has signed. A transaction must outlast the interval between other ones.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, TRANSACTION_MS - 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 400);
        settings.put(StreamsConfig.consumerPrefix("fetch.max.wait.ms"), 10);
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 0);
        settings.put(StreamsConfig.producerPrefix("transaction.timeout.ms"), TRANSACTION_MS);

        Topology topology = new Topology();
        topology.addSource("outboxes", new ByteArrayDeserializer(), new ByteArrayDeserializer(), Arrays.copyOfRange(given, 9, given.length));
        topology.addProcessor("register", () -> new Registrar(keys, Double.parseDouble(given[6]), Integer.parseInt(given[7]), Integer.parseInt(given[8])), "outboxes");
        topology.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("cases"), Serdes.ByteArray(), Serdes.ByteArray()), "register");
        topology.addSink("history", given[4], new ByteArraySerializer(), new ByteArraySerializer(), "register");
        topology.addSink("inbox", given[5], new ByteArraySerializer(), new ByteArraySerializer(), "register");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    static byte[] join(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(each -> each.length).sum());
        Arrays.stream(parts).forEach(all::put);
        return all.array();
    }

    /** One statement that waits for its transaction's root: where it goes, and its body. */
    record Statement(String sink, String header, Record<byte[], byte[]> about, Headers headers, byte[] body, byte[] leaf) {}

    static final class Registrar implements Processor<byte[], byte[], byte[], byte[]> {
        private final Map<String, Ed25519.PublicPoint> keys;
        private final double share;
        private final int[] added;
        private final MessageDigest sha256;
        private final byte[] own = new byte[Ed25519.SECRET_KEY_SIZE];
        private final List<Statement> said = new ArrayList<>();
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> cases;
        private double owed;

        Registrar(Map<String, Ed25519.PublicPoint> keys, double share, int ofRegistration, int ofDelivery) {
            this.keys = keys;
            this.share = share;
            added = new int[] {ofRegistration, ofDelivery};
            new SecureRandom().nextBytes(own);
            try {
                sha256 = MessageDigest.getInstance("SHA-256");
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            cases = context.getStateStore("cases");
            // Streams calls this just before it looks whether a commit was asked for: nothing is taken in between. 100 ms is its own
            // interval between commits, exactly once; more often, it takes fewer events in a transaction, and is slower.
            context.schedule(TICK, PunctuationType.WALL_CLOCK_TIME, now -> {
                if (!said.isEmpty()) sign();
            });
        }

        @Override
        public void process(Record<byte[], byte[]> event) {
            try {
                register(event);
            } catch (Exception error) {
                throw new IllegalStateException("an event was refused", error);
            }
        }

        private void register(Record<byte[], byte[]> event) throws Exception {
            Map<String, byte[]> headers = new HashMap<>();
            for (Header each : event.headers()) headers.put(each.key(), each.value());
            byte[] material = Base64.getDecoder().decode(headers.get("ce_dssematerial"));
            verify(material, headers, event.value());
            byte[] before = cases.get(event.key());
            long number = before == null ? 1 : ByteBuffer.wrap(before).getLong() + 1;
            String previous = before == null ? "0".repeat(64) : HexFormat.of().formatHex(before, 8, 40);
            byte[] registration = body(String.format(
                "{\"envelope\":\"%s\",\"id\":\"%s\",\"number\":%d,\"previous\":\"%s\",\"sequence\":%s,\"source\":\"%s\",\"subject\":\"%s\",\"verdict\":\"registered\"}",
                hex(material), text(headers, "ce_id"), number, previous, text(headers, "ce_sequence"), text(headers, "ce_source"),
                text(headers, "ce_subject")), added[0]);
            byte[] digest = sha256.digest(registration);
            cases.put(event.key(), ByteBuffer.allocate(40).putLong(number).put(digest).array());
            say("history", "nrm_registration", event, registration);
            for (owed += share; owed >= 1; owed--) {
                say("inbox", "nrm_delivery", event, body(String.format(
                    "{\"registration\":\"%s\",\"to\":\"%s\"}", HexFormat.of().formatHex(digest), text(headers, "ce_source")), added[1]));
            }
        }

        /** The digests of attributes and data, and the sender's signature over them. */
        private void verify(byte[] material, Map<String, byte[]> headers, byte[] data) throws Exception {
            String envelope = new String(material, StandardCharsets.US_ASCII);
            byte[] payload = Base64.getDecoder().decode(member(envelope, "payload"));
            String type = member(envelope, "payloadType");
            List<byte[]> core = new ArrayList<>(), ext = new ArrayList<>();
            for (String each : CORE) core.add(sha256.digest(headers.getOrDefault(each, new byte[0])));
            core.add(sha256.digest(data));
            List<String> names = EXTENSIONS.stream().filter(each -> headers.containsKey("ce_" + each)).toList();
            for (String each : names) ext.add(sha256.digest(headers.get("ce_" + each)));
            String due = String.format("{\"core\":\"%s\",\"ext\":\"%s\",\"signedextattrs\":[\"%s\"]}", together(core), together(ext), String.join("\",\"", names));
            if (!Arrays.equals(due.getBytes(StandardCharsets.US_ASCII), payload)) throw new IllegalStateException("digests");
            byte[] said = join(("DSSEv1 " + type.length() + " " + type + " " + payload.length + " ").getBytes(StandardCharsets.US_ASCII), payload);
            byte[] signature = Base64.getDecoder().decode(member(envelope, "sig"));
            if (!Ed25519.verify(signature, 0, keys.get(member(envelope, "keyid")), said, 0, said.length)) throw new IllegalStateException("signature");
        }

        private String together(List<byte[]> digests) {
            return Base64.getEncoder().encodeToString(sha256.digest(join(digests.toArray(byte[][]::new))));
        }

        private String hex(byte[] raw) {
            return HexFormat.of().formatHex(sha256.digest(raw));
        }

        private void say(String sink, String header, Record<byte[], byte[]> about, byte[] body) {
            sha256.update((byte) 0);
            said.add(new Statement(sink, header, about, about.headers(), body, sha256.digest(body)));
        }

        /** Sign the root of all that waits, write it with its paths, and ask for the commit. */
        private void sign() {
            try {
                List<List<byte[]>> levels = new ArrayList<>();
                List<byte[]> level = new ArrayList<>(said.stream().map(Statement::leaf).toList());
                byte[] empty = new byte[32];
                while (Integer.bitCount(level.size()) != 1) level.add(empty);
                for (levels.add(level); level.size() > 1; levels.add(level)) {
                    List<byte[]> above = new ArrayList<>(level.size() / 2);
                    for (int at = 0; at < level.size(); at += 2) above.add(sha256.digest(join(new byte[] {1}, level.get(at), level.get(at + 1))));
                    level = above;
                }
                byte[] signature = new byte[Ed25519.SIGNATURE_SIZE];
                Ed25519.sign(own, 0, level.get(0), 0, 32, signature, 0);
                for (int number = 0; number < said.size(); number++) {
                    Statement each = said.get(number);
                    List<byte[]> proof = new ArrayList<>(List.of(signature, ByteBuffer.allocate(4).putInt(number).array()));
                    for (int up = 0, at = number; up < levels.size() - 1; up++, at >>= 1) proof.add(levels.get(up).get(at ^ 1));
                    proof.add(each.body());
                    Headers headers = new RecordHeaders(each.headers().toArray()).add(each.header(), join(proof.toArray(byte[][]::new)));
                    context.forward(each.about().withHeaders(headers), each.sink());
                }
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
            said.clear();
            context.commit();
        }

        private static String text(Map<String, byte[]> headers, String name) {
            return new String(headers.get(name), StandardCharsets.US_ASCII);
        }

        private static String member(String json, String name) {
            int start = json.indexOf("\"" + name + "\":\"") + name.length() + 4;
            return json.substring(start, json.indexOf('"', start));
        }

        /** The statement, filled up to the bytes that the registrar's has together with its proof. */
        private static byte[] body(String json, int whole) {
            byte[] said = json.getBytes(StandardCharsets.US_ASCII);
            int proof = 64 + 4 + 10 * 32;
            return whole > said.length + proof ? join(said, Arrays.copyOf(FILLING, whole - said.length - proof)) : said;
        }
    }
}
