import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node in this process, serving HTTP on a port of the loopback interface.
 *
 * <p>Arguments: the port, the folder for its data, then any further settings as NAME=VALUE. When it serves requests it prints
 * "ready PORT". SIGTERM closes it in order; a node that was killed finds its data again, as every OpenSearch node does.
 */
public final class SingleNode extends Node {
    private SingleNode(Environment environment, List<Class<? extends Plugin>> plugins) {
        super(environment, plugins, true);
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        Path folder = Files.createDirectories(Path.of(arguments[1])).toRealPath();
        Settings.Builder settings = Settings.builder()
                .put("cluster.name", "receiver-tests")
                .put("node.name", "single")
                .put("path.home", folder)
                .put("path.data", folder.resolve("data"))
                .put("path.logs", folder.resolve("logs"))
                .put("discovery.type", "single-node")
                .put("network.host", "127.0.0.1")
                .put("http.port", port)
                // Nobody joins this node, but it insists on a transport; the kernel chooses a port.
                .put("transport.port", 0)
                // A build machine's disk is often fuller than a cluster's may be.
                .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int i = 2; i < arguments.length; i++) {
            String[] parts = arguments[i].split("=", 2);
            settings.put(parts[0], parts[1]);
        }
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "single");
        SingleNode node = new SingleNode(
                environment,
                List.of(Netty4Plugin.class, CommonAnalysisPlugin.class, MapperExtrasPlugin.class, PainlessPlugin.class));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        node.start();
        System.out.println("ready " + port);
        // All of the node's own threads are daemons.
        Thread.currentThread().join();
    }
}
